//! The program of docs/rust.md; `scripts/check-samples.mjs` compares the two and runs it.
//!
//! `cargo run -p dodici --example readme` asks www.example.com; give a URL to ask another.

use std::sync::Arc;

use dodici::{Engine, Event, Origin, OriginConfig, Scheme};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or("http://www.example.com/".to_owned());
    let uri: http::Uri = url.parse()?;

    let engine = Engine::on_runtime(tokio::runtime::Handle::current());
    let origin = Origin::new(
        Scheme::Http,
        uri.host().ok_or("the URL names no host")?,
        uri.port_u16().unwrap_or(80),
    );
    let events = Arc::new(|event: Event| println!("{event:?}"));
    let pool = engine.open_pool(origin, OriginConfig::default(), events)?;

    let response = pool
        .send(http::Request::get(&url).body(String::new())?)
        .await?;
    println!("{}", response.status());
    let (body, trailers) = response.into_body().collect().await?;
    println!("{} bytes, {} trailers", body.len(), trailers.len());
    Ok(())
}
