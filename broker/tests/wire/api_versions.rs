use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::fixture::start;
use crate::wire::text;

fn request() -> ApiVersionsRequest {
    let request = ApiVersionsRequest::default().with_client_software_name(text("wire"));
    request.with_client_software_version(text("1.0"))
}

fn range(response: &ApiVersionsResponse, api: ApiKey) -> Option<(i16, i16)> {
    let served = response.api_keys.iter().find(|served| served.api_key == api as i16)?;
    Some((served.min_version, served.max_version))
}

#[tokio::test]
async fn every_version_lists_what_is_served() {
    let (_broker, mut wire) = start().await;
    for version in 0..=4 {
        let response = wire.call(version, request()).await;
        assert_eq!(response.error_code, 0, "version {version}");
        assert_eq!(
            range(&response, ApiKey::Produce),
            Some((0, 13)),
            "librdkafka compresses only where it sees v0"
        );
        assert_eq!(range(&response, ApiKey::Fetch), Some((4, 18)));
        assert_eq!(range(&response, ApiKey::EndTxn), Some((0, 5)));
        assert_eq!(range(&response, ApiKey::ShareFetch), None, "no share groups");
    }
}

#[tokio::test]
async fn the_version_of_transactions_is_finalised() {
    let (_broker, mut wire) = start().await;
    for version in 3..=4 {
        let response = wire.call(version, request()).await;
        let finalized = response
            .finalized_features
            .iter()
            .map(|feature| (feature.name.to_string(), feature.min_version_level, feature.max_version_level));
        let finalized: Vec<_> = finalized.collect();
        assert_eq!(finalized, [("transaction.version".to_owned(), 2, 2)], "version {version}");
        assert!(response.finalized_features_epoch >= 0);
    }
}

#[tokio::test]
async fn an_unknown_version_is_answered_in_the_form_of_version_0() {
    let (_broker, mut wire) = start().await;
    // Header v2: key 18, version 99, correlation id 7, client id null, no tagged fields; a body of the future.
    wire.send_bytes(&[0, 0, 0, 13, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0, 1, 2]).await;
    let response = wire.receive::<ApiVersionsRequest>(0, 7).await;
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(range(&response, ApiKey::ApiVersions), Some((0, 4)));
    assert_eq!(
        wire.call(4, request()).await.error_code,
        0,
        "the client can ask again on the same connection"
    );
}

#[tokio::test]
async fn a_client_without_a_name_is_refused_from_version_3_on() {
    let (_broker, mut wire) = start().await;
    let nameless = ApiVersionsRequest::default();
    assert_eq!(wire.call(3, nameless.clone()).await.error_code, ErrorCode::InvalidRequest.code());
    assert_eq!(wire.call(2, nameless).await.error_code, 0);
}
