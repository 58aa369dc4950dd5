//! ApiVersions v0–4.
//!
//! Answers from [`ROUTES`], so that a client is told of exactly what is dispatched. v3: the client's software name
//! and version are checked (KIP-511), features are listed (KIP-584). An unknown version is answered in v0 form
//! with UNSUPPORTED_VERSION and the key list, so that the client can ask again (KIP-35, KIP-511).
//!
//! `transaction.version` is finalised at 2, by which clients know that each of their transactions gets an epoch of its own
//! and that writes add their partitions (KIP-890).
//!
//! Not done: `group.version` and `share.version` are not finalised, because the consumer protocol (KIP-848) and share
//! groups (KIP-932) are not served.

use std::sync::Arc;

use ottla_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::routes::ROUTES;
use crate::state::BrokerState;

const TRANSACTION_VERSION: &str = "transaction.version";
const TRANSACTION_VERSION_LEVEL: i16 = 2;

impl Handler for ApiVersionsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 4 };

    async fn handle(self, _: Arc<BrokerState>, context: RequestContext) -> ApiVersionsResponse {
        if context.api_version >= 3
            && !(is_software_name(&self.client_software_name)
                && is_software_name(&self.client_software_version))
        {
            return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
        }
        let supported = SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(TRANSACTION_VERSION))
            .with_max_version(TRANSACTION_VERSION_LEVEL);
        let finalized = FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(TRANSACTION_VERSION))
            .with_max_version_level(TRANSACTION_VERSION_LEVEL)
            .with_min_version_level(TRANSACTION_VERSION_LEVEL);
        ApiVersionsResponse::default()
            .with_api_keys(served())
            .with_supported_features(vec![supported])
            .with_finalized_features_epoch(0)
            .with_finalized_features(vec![finalized])
    }
}

/// The answer to a version that is not served; to be encoded as v0.
pub(crate) fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_api_keys(served())
        .with_error_code(ErrorCode::UnsupportedVersion.code())
}

fn served() -> Vec<ApiVersion> {
    ROUTES
        .iter()
        .map(|route| {
            ApiVersion::default()
                .with_api_key(route.key)
                .with_min_version(route.advertised_min)
                .with_max_version(route.served.max)
        })
        .collect()
}

/// KIP-511: letters, digits, `.` and `-`, with a letter or digit at both ends.
fn is_software_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let bytes = name.as_bytes();
    bytes.iter().copied().all(inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_are_those_of_kip_511() {
        for good in ["apache-kafka-java", "4.3.1", "a", "librdkafka", "2.8.1-SNAPSHOT"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-java", "java-", "java client", "java\n", "ja_va"] {
            assert!(!is_software_name(bad), "{bad:?}");
        }
    }
}
