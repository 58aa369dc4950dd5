//! One client's connection, without anything that a client library would add.

use bytes::{Bytes, BytesMut};
use ottla_protocol::{Request, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Wire {
    stream: TcpStream,
    sent: i32,
}

impl Wire {
    pub(crate) async fn connect(bootstrap_servers: &str) -> Wire {
        Wire { stream: TcpStream::connect(bootstrap_servers).await.unwrap(), sent: 0 }
    }

    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        self.send(version, request).await;
        self.receive::<R>(version).await
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: R) {
        self.sent += 1;
        let encoded = encode_request(self.sent, Some("client"), version, request).unwrap();
        self.stream.write_all(&encoded.to_bytes()).await.unwrap();
    }

    /// Receives the answer to the request that was sent last.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let (correlation_id, response) = decode_response::<R>(self.frame().await, version).unwrap();
        assert_eq!(correlation_id, self.sent);
        response
    }

    async fn frame(&mut self) -> Bytes {
        let size = self.stream.read_i32().await.unwrap();
        let mut frame = BytesMut::zeroed(usize::try_from(size).unwrap());
        self.stream.read_exact(&mut frame).await.unwrap();
        frame.freeze()
    }
}
