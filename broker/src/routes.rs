//! The one list of what this broker serves: registration, version check, dispatch and the ApiVersions answer.

#[cfg(test)]
mod fuzz;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, ApiVersionsRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTopicPartitionsRequest, DescribeTransactionsRequest, EndTxnRequest,
    FetchRequest, FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest,
    ListTransactionsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest, TxnOffsetCommitRequest,
    WriteTxnMarkersRequest,
};
use ottla_protocol::{
    CheckedBody, DecodeError, EncodeError, Encoded, RequestHeader, VersionRange, encode_response,
};

use crate::context::RequestContext;
use crate::handlers::{Handler, api_versions};
use crate::state::BrokerState;

/// Every API this broker serves, in API-key order.
pub(crate) static ROUTES: &[Route] = &[
    Route::to::<ProduceRequest>(),
    Route::to::<FetchRequest>(),
    Route::to::<ListOffsetsRequest>(),
    Route::to::<MetadataRequest>(),
    Route::to::<OffsetCommitRequest>(),
    Route::to::<OffsetFetchRequest>(),
    Route::to::<FindCoordinatorRequest>(),
    Route::to::<JoinGroupRequest>(),
    Route::to::<HeartbeatRequest>(),
    Route::to::<LeaveGroupRequest>(),
    Route::to::<SyncGroupRequest>(),
    Route::to::<DescribeGroupsRequest>(),
    Route::to::<ListGroupsRequest>(),
    Route::to::<ApiVersionsRequest>(),
    Route::to::<CreateTopicsRequest>(),
    Route::to::<DeleteTopicsRequest>(),
    Route::to::<DeleteRecordsRequest>(),
    Route::to::<InitProducerIdRequest>(),
    Route::to::<OffsetForLeaderEpochRequest>(),
    Route::to::<AddPartitionsToTxnRequest>(),
    Route::to::<AddOffsetsToTxnRequest>(),
    Route::to::<EndTxnRequest>(),
    Route::to::<WriteTxnMarkersRequest>(),
    Route::to::<TxnOffsetCommitRequest>(),
    Route::to::<DescribeConfigsRequest>(),
    Route::to::<DescribeLogDirsRequest>(),
    Route::to::<CreatePartitionsRequest>(),
    Route::to::<DeleteGroupsRequest>(),
    Route::to::<IncrementalAlterConfigsRequest>(),
    Route::to::<OffsetDeleteRequest>(),
    Route::to::<DescribeClusterRequest>(),
    Route::to::<DescribeProducersRequest>(),
    Route::to::<DescribeTransactionsRequest>(),
    Route::to::<ListTransactionsRequest>(),
    Route::to::<DescribeTopicPartitionsRequest>(),
];

/// The elements that the arrays of one request may have together. Decoded, served and answered, each takes some hundred
/// bytes, however few it had on the wire. Ten times what a request for every partition of a full topic has.
const MAX_ELEMENTS: usize = 1 << 17;

const _: () = assert_sorted_by_key(ROUTES);

/// One API: its key, the versions served, and the handler behind it.
pub(crate) struct Route {
    pub(crate) key: i16,
    pub(crate) served: VersionRange,
    /// What ApiVersions says is the lowest version; see [`Handler::ADVERTISED_MIN`].
    pub(crate) advertised_min: i16,
    serve: fn(Arc<BrokerState>, RequestContext, i32, Bytes) -> Result<ResponseFuture, ServeError>,
    /// A valid body, which the fuzzing of every API begins with.
    #[cfg(test)]
    sample: fn(i16, &[u8]) -> Bytes,
}

/// A request that is being served.
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = Result<Reply, ServeError>> + Send>>;

/// What goes back to the client.
pub(crate) enum Reply {
    Response(Encoded),
    /// A Produce request with `acks=0` is not answered.
    Nothing,
}

impl Reply {
    /// What it takes besides the record data that it refers to.
    pub(crate) fn own_bytes(&self) -> usize {
        match self {
            Reply::Response(response) => response.own_bytes(),
            Reply::Nothing => 0,
        }
    }
}

/// Why a request ends its connection, as Kafka does when it cannot answer in the API's own terms.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{0:?} is not served")]
    NotServed(ApiKey),
    #[error("{api:?} version {version} is not served; versions {} to {} are", .served.min, .served.max)]
    UnsupportedVersion { api: ApiKey, version: i16, served: VersionRange },
    #[error("the request names {elements} things; {MAX_ELEMENTS} are served at a time")]
    TooManyElements { elements: usize },
    #[error("a request that asks for no response has failed")]
    Unanswered,
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl Route {
    const fn to<H: Handler>() -> Route {
        const {
            assert!(
                H::VERSIONS.min <= H::SERVED.min && H::SERVED.max <= H::VERSIONS.max,
                "the handler claims versions that its schema lacks"
            );
        }
        Route {
            key: H::KEY,
            served: H::SERVED,
            advertised_min: H::ADVERTISED_MIN,
            serve: serve::<H>,
            #[cfg(test)]
            sample: ottla_protocol::sample_message::<H>,
        }
    }

    fn serves(&self, version: i16) -> bool {
        (self.served.min..=self.served.max).contains(&version)
    }
}

/// Starts the handler of a request. The future does its first part when it is first polled.
pub(crate) fn dispatch(
    broker: Arc<BrokerState>,
    context: RequestContext,
    header: &RequestHeader,
    body: Bytes,
) -> Result<ResponseFuture, ServeError> {
    let (api, version) = (header.api_key, header.api_version);
    let at = ROUTES.binary_search_by_key(&(api as i16), |route| route.key);
    let route = at.map(|at| &ROUTES[at]).map_err(|_| ServeError::NotServed(api))?;
    if route.serves(version) {
        return (route.serve)(broker, context, header.correlation_id, body);
    }
    if api == ApiKey::ApiVersions {
        // The one API that a client may ask in any version: it does not know ours yet (KIP-35).
        let reply = encode_response(header.correlation_id, 0, api_versions::unsupported_version())?;
        return Ok(Box::pin(std::future::ready(Ok(Reply::Response(reply)))));
    }
    Err(ServeError::UnsupportedVersion { api, version, served: route.served })
}

fn serve<H: Handler>(
    broker: Arc<BrokerState>,
    context: RequestContext,
    correlation_id: i32,
    body: Bytes,
) -> Result<ResponseFuture, ServeError> {
    let version = context.api_version;
    let body = CheckedBody::<H>::check(body, version)?;
    let elements = body.elements();
    if elements > MAX_ELEMENTS {
        return Err(ServeError::TooManyElements { elements });
    }
    let request = body.decode()?;
    let answered = request.is_answered();
    Ok(Box::pin(async move {
        let response = request.handle(broker, context).await;
        if !answered {
            return if H::has_failed(&response) { Err(ServeError::Unanswered) } else { Ok(Reply::Nothing) };
        }
        Ok(Reply::Response(encode_response(correlation_id, version, response)?))
    }))
}

/// Also forbids that an API is registered twice.
const fn assert_sorted_by_key(routes: &[Route]) {
    let mut at = 1;
    while at < routes.len() {
        assert!(routes[at - 1].key < routes[at].key, "ROUTES must be in API-key order, each key once");
        at += 1;
    }
}
