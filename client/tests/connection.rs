//! Peers that are no brokers, or bad ones.

use std::time::Duration;

use ottla_client::{Client, ClientConfig, ConnectError, RequestError};
use ottla_protocol::messages::{ApiKey, ApiVersionsResponse, api_versions_response::ApiVersion};
use ottla_protocol::{Encoded, decode_header, encode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that treats each connection as `serve` does; answers its address.
async fn server<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> ClientConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    let mut config = ClientConfig::new(address.to_string());
    config.request_timeout = Duration::from_millis(300);
    config.retry_backoff = Duration::from_millis(1);
    config
}

/// The correlation id of the next request.
async fn next_request(socket: &mut TcpStream) -> Option<i32> {
    let length = socket.read_i32().await.ok()?;
    let mut frame = vec![0; usize::try_from(length).unwrap()];
    socket.read_exact(&mut frame).await.unwrap();
    Some(decode_header(&mut frame.into()).unwrap().correlation_id)
}

/// Says that the peer serves Metadata.
fn versions(correlation_id: i32) -> Encoded {
    let metadata = ApiVersion::default().with_api_key(ApiKey::Metadata as i16).with_max_version(12);
    let response = ApiVersionsResponse::default().with_api_keys(vec![metadata]);
    encode_response(correlation_id, 3, response).unwrap()
}

#[tokio::test]
async fn a_web_server_is_no_broker() {
    let config = server(async |mut socket: TcpStream| {
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = socket.read_u8().await;
    });
    let error = Client::connect(config.await).await.unwrap_err();
    assert!(matches!(&error, ConnectError::NotKafka { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_hangs_up_or_is_silent_does_not_answer() {
    let hangs_up = server(async |socket: TcpStream| drop(socket)).await;
    let error = Client::connect(hangs_up).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable { .. }), "{error}");

    let silent =
        server(async |mut socket: TcpStream| while next_request(&mut socket).await.is_some() {}).await;
    let error = Client::connect(silent).await.unwrap_err();
    assert!(matches!(&error, ConnectError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_to_another_request_ends_the_connection() {
    let confused = server(async |mut socket: TcpStream| {
        while let Some(correlation_id) = next_request(&mut socket).await {
            socket.write_all_buf(&mut versions(correlation_id + 1)).await.unwrap();
        }
    });
    let error = Client::connect(confused.await).await.unwrap_err();
    assert!(error.to_string().ends_with("does not speak Kafka's protocol: it answers no request"), "{error}");
}

#[tokio::test]
async fn an_api_that_is_not_served_and_an_answer_that_is_cut_short_are_named() {
    let config = server(async |mut socket: TcpStream| {
        let correlation_id = next_request(&mut socket).await.unwrap();
        socket.write_all_buf(&mut versions(correlation_id)).await.unwrap();
        while let Some(correlation_id) = next_request(&mut socket).await {
            socket.write_i32(5).await.unwrap();
            socket.write_i32(correlation_id).await.unwrap();
            socket.write_u8(0).await.unwrap();
        }
    });
    let client = Client::connect(config.await).await.unwrap();
    let error = client.describe_cluster().await.unwrap_err();
    assert!(
        matches!(&error, RequestError::UnsupportedVersion { api: ApiKey::DescribeCluster, .. }),
        "{error}"
    );
    let error = client.metadata(&[]).await.unwrap_err();
    assert!(matches!(&error, RequestError::Protocol { api: ApiKey::Metadata, .. }), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_opened_again() {
    let config = server(async |mut socket: TcpStream| {
        let correlation_id = next_request(&mut socket).await.unwrap();
        socket.write_all_buf(&mut versions(correlation_id)).await.unwrap();
        next_request(&mut socket).await;
    });
    let client = Client::connect(config.await).await.unwrap();
    let error = client.metadata(&[]).await.unwrap_err();
    assert!(matches!(&error, RequestError::ConnectionLost { api: ApiKey::Metadata, .. }), "{error}");
}
