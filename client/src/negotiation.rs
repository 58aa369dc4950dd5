//! Which version of each API a broker and this client have in common (ApiVersions, KIP-35 and KIP-511).

use std::collections::HashMap;

use ottla_protocol::VersionRange;
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ErrorCode, StrBytes};

/// The versions of ApiVersions that this client sends.
pub(crate) const VERSIONS: VersionRange = VersionRange { min: 3, max: 3 };

/// What a broker serves, by API key.
#[derive(Debug, Default)]
pub(crate) struct BrokerVersions {
    apis: HashMap<i16, VersionRange>,
    /// The finalised level of `transaction.version`, 0 without one.
    transaction_version: i16,
}

pub(crate) fn request() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("ottla"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")))
}

impl BrokerVersions {
    pub(crate) fn from_response(response: &ApiVersionsResponse) -> Result<BrokerVersions, ErrorCode> {
        match ErrorCode::try_from_code(response.error_code) {
            Some(code) => Err(code),
            None => Ok(BrokerVersions {
                apis: response
                    .api_keys
                    .iter()
                    .map(|api| (api.api_key, VersionRange { min: api.min_version, max: api.max_version }))
                    .collect(),
                transaction_version: response
                    .finalized_features
                    .iter()
                    .find(|feature| feature.name.as_str() == "transaction.version")
                    .map_or(0, |feature| feature.max_version_level),
            }),
        }
    }

    pub(crate) fn transaction_version(&self) -> i16 {
        self.transaction_version
    }

    /// The newest version that both sides speak.
    pub(crate) fn newest_common(&self, api_key: i16, ours: VersionRange) -> Option<i16> {
        let common = self.apis.get(&api_key)?.intersect(&ours);
        (!common.is_empty()).then_some(common.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_taken() {
        let apis = HashMap::from([(1, VersionRange { min: 4, max: 17 })]);
        let versions = BrokerVersions { apis, transaction_version: 0 };
        assert_eq!(versions.newest_common(1, VersionRange { min: 13, max: 18 }), Some(17));
        assert_eq!(versions.newest_common(1, VersionRange { min: 4, max: 12 }), Some(12));
        assert_eq!(versions.newest_common(1, VersionRange { min: 18, max: 18 }), None);
        assert_eq!(versions.newest_common(2, VersionRange { min: 0, max: 9 }), None);
    }
}
