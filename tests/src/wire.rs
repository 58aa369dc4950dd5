//! One client's connection, without anything that a client library would add.

use std::io;

use bytes::{Bytes, BytesMut};
use ottla_protocol::{Request, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Wire {
    stream: TcpStream,
    sent: i32,
}

impl Wire {
    pub async fn connect(bootstrap_servers: &str) -> Wire {
        let stream = TcpStream::connect(bootstrap_servers).await.expect("the broker takes connections");
        Wire { stream, sent: 0 }
    }

    pub async fn call<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        self.try_call(version, request).await.expect("the broker answers")
    }

    /// An error when the connection ends before the answer is there.
    pub async fn try_call<R: Request>(&mut self, version: i16, request: R) -> io::Result<R::Response> {
        self.try_send(version, request).await?;
        self.try_receive::<R>(version).await
    }

    pub async fn send<R: Request>(&mut self, version: i16, request: R) {
        self.try_send(version, request).await.expect("the broker reads");
    }

    /// Receives the answer to the request that was sent last.
    pub async fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        self.try_receive::<R>(version).await.expect("the broker answers")
    }

    async fn try_send<R: Request>(&mut self, version: i16, request: R) -> io::Result<()> {
        self.sent += 1;
        let encoded = encode_request(self.sent, Some("client"), version, request).expect("a valid request");
        self.stream.write_all(&encoded.to_bytes()).await
    }

    async fn try_receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let (correlation_id, response) =
            decode_response::<R>(self.frame().await?, version).expect("a valid response");
        assert_eq!(correlation_id, self.sent);
        Ok(response)
    }

    async fn frame(&mut self) -> io::Result<Bytes> {
        let size = self.stream.read_i32().await?;
        let mut frame = BytesMut::zeroed(usize::try_from(size).expect("a length"));
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.freeze())
    }
}
