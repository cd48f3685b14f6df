//! What is read ahead under TLS: nothing is lost, reordered or held longer than it is needed.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::connect::read_ahead::ReadAhead;
use crate::connect::socket::Socket;

async fn pair() -> (ReadAhead, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let peer = listener.accept().unwrap().0;
    (ReadAhead::new(Socket::Tcp(stream)), peer)
}

fn poll_now(ahead: &mut ReadAhead, buffer: &mut [u8]) -> Poll<usize> {
    let mut buffer = ReadBuf::new(buffer);
    let mut cx = Context::from_waker(Waker::noop());
    std::pin::Pin::new(ahead)
        .poll_read(&mut cx, &mut buffer)
        .map(|read| {
            read.unwrap();
            buffer.filled().len()
        })
}

#[tokio::test]
async fn small_reads_get_everything_in_order_and_the_end_once_it_is_reached() {
    let (mut ahead, mut peer) = pair().await;
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    std::thread::spawn(move || peer.write_all(&sent).unwrap());
    let mut got = Vec::new();
    let mut piece = [0; 4097];
    loop {
        match ahead.read(&mut piece).await.unwrap() {
            0 => break,
            count => got.extend_from_slice(&piece[..count]),
        }
    }
    assert_eq!(got, expected);
}

#[tokio::test]
async fn one_system_call_serves_many_reads_without_the_event_loop() {
    let (mut ahead, mut peer) = pair().await;
    peer.write_all(&[7; 1000]).unwrap();
    assert_eq!(ahead.read(&mut [0; 10]).await.unwrap(), 10);
    for _ in 0..99 {
        assert_eq!(poll_now(&mut ahead, &mut [0; 10]), Poll::Ready(10));
    }
    assert_eq!(poll_now(&mut ahead, &mut [0; 10]), Poll::Pending);
}

#[tokio::test]
async fn a_check_without_the_event_loop_finds_what_was_read_ahead_first() {
    let (mut ahead, mut peer) = pair().await;
    peer.write_all(b"first").unwrap();
    assert_eq!(ahead.read(&mut [0; 2]).await.unwrap(), 2);
    peer.write_all(b" second").unwrap();
    let mut seen = Vec::new();
    let mut bite = [0; 64];
    while seen.len() < b"rst second".len() {
        match ahead.read_now(&mut bite) {
            Ok(count) => seen.extend_from_slice(&bite[..count]),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    assert_eq!(seen, b"rst second");
}

#[tokio::test]
async fn an_idle_socket_holds_no_buffer() {
    let (mut ahead, mut peer) = pair().await;
    assert_eq!(ahead.room(), 0);
    assert_eq!(poll_now(&mut ahead, &mut [0; 10]), Poll::Pending);
    assert_eq!(ahead.room(), 0);
    peer.write_all(&[7; 20]).unwrap();
    assert_eq!(ahead.read(&mut [0; 10]).await.unwrap(), 10);
    assert_ne!(ahead.room(), 0);
    assert_eq!(ahead.read(&mut [0; 10]).await.unwrap(), 10);
    assert_eq!(ahead.room(), 0);
    drop(peer);
    assert_eq!(ahead.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(ahead.room(), 0);
}
