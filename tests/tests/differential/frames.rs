//! Requests that no schema has.

use ottla_protocol::messages::ApiVersionsRequest;

use crate::both::Both;
use crate::text;

pub(crate) async fn ask(both: &mut Both) {
    let named = ApiVersionsRequest::default()
        .with_client_software_name(text("tests"))
        .with_client_software_version(text("1"));
    both.ask("ApiVersions with a name", 3, named.clone(), |response| response.error_code).await;
    both.ask("ApiVersions without a name", 3, ApiVersionsRequest::default(), |response| response.error_code)
        .await;
    let odd = named.with_client_software_name(text("tests!"));
    both.ask("ApiVersions with an odd name", 3, odd, |response| response.error_code).await;

    for (what, key, version, body) in [
        ("an unknown API", 999, 0, &[][..]),
        ("a negative API", -1, 0, &[]),
        ("Metadata of an unknown version", 3, 99, &[]),
        ("Metadata of no topic, with bytes behind it", 3, 1, &[0, 0, 0, 0, 1, 2, 3]),
        ("ApiVersions with bytes behind it", 18, 0, &[1, 2, 3]),
        ("Metadata without a body", 3, 9, &[]),
        ("Metadata of more topics than there are bytes", 3, 0, &[127, 255, 255, 255]),
        ("Produce of a version that was removed", 0, 2, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("ApiVersions of an unknown version", 18, 99, &[]),
        ("Heartbeat with a name that is longer than the request", 12, 0, &[127, 255, 1]),
    ] {
        both.send(what, &frame(key, version, body)).await;
    }
    both.send("a negative length", &(-5i32).to_be_bytes()).await;
    both.send("a length over the limit", &i32::MAX.to_be_bytes()).await;
    both.send("a frame without a header", &[0, 0, 0, 1, 7]).await;
}

/// A request with header v1, which has no tagged fields.
fn frame(api_key: i16, api_version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(api_key.to_be_bytes());
    request.extend(api_version.to_be_bytes());
    request.extend(7i32.to_be_bytes());
    request.extend((-1i16).to_be_bytes());
    request.extend(body);
    let length = i32::try_from(request.len()).expect("a short request");
    [&length.to_be_bytes()[..], &request].concat()
}
