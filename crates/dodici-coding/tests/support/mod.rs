//! Encoded bodies, and decoding as a caller does it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;

use dodici_coding::{Behind, Coding, DecodeError, Decoder};
use zlib_rs::{Deflate, DeflateFlush, Status};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, zstd_sys::ZSTD_EndDirective};

pub(crate) const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// What `zlib` accepts: its wrapper, and its window as a power of two.
#[derive(Clone, Copy)]
pub(crate) enum Wrapper {
    Gzip(u8),
    Zlib(u8),
    Raw(u8),
}

/// Compressed by zlib, with a flush of this kind after each part.
pub(crate) fn zlib(parts: &[&[u8]], level: i32, wrapper: Wrapper, flush: DeflateFlush) -> Vec<u8> {
    let mut encoder = match wrapper {
        Wrapper::Gzip(window) => Deflate::new(level, true, window + 16),
        Wrapper::Zlib(window) => Deflate::new(level, true, window),
        Wrapper::Raw(window) => Deflate::new(level, false, window),
    };
    let mut out = Vec::new();
    let mut put = |mut part: &[u8], flush: DeflateFlush| {
        loop {
            let mut buffer = [0; 4096];
            let (read, written) = (encoder.total_in(), encoder.total_out());
            let status = encoder.compress(part, &mut buffer, flush).unwrap();
            part = &part[(encoder.total_in() - read) as usize..];
            let written = (encoder.total_out() - written) as usize;
            out.extend_from_slice(&buffer[..written]);
            if status == Status::StreamEnd || (part.is_empty() && written < buffer.len()) {
                break;
            }
        }
    };
    for part in parts {
        put(part, flush);
    }
    put(&[], DeflateFlush::Finish);
    out
}

pub(crate) fn brotli(parts: &[&[u8]], quality: u32, window: u32) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, quality, window);
    for part in parts {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.into_inner()
}

/// One frame, with a flush after each part and a checksum.
pub(crate) fn zstd(parts: &[&[u8]], level: i32, window: u32) -> Vec<u8> {
    let mut encoder = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(window),
        CParameter::ChecksumFlag(true),
    ] {
        encoder.set_parameter(parameter).unwrap();
    }
    let mut out = Vec::new();
    let mut put = |part: &[u8], end: ZSTD_EndDirective| {
        let mut from = InBuffer::around(part);
        loop {
            let mut buffer = Vec::with_capacity(4096);
            let mut into = OutBuffer::around(&mut buffer);
            let left = encoder.compress_stream2(&mut into, &mut from, end).unwrap();
            out.extend_from_slice(&buffer);
            if left == 0 {
                break;
            }
        }
    };
    for part in parts {
        put(part, ZSTD_EndDirective::ZSTD_e_flush);
    }
    put(&[], ZSTD_EndDirective::ZSTD_e_end);
    out
}

/// One unit (member, stream, frame) of the coding, as most servers produce it.
pub(crate) fn unit(coding: Coding, body: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => zlib(&[body], 6, Wrapper::Gzip(15), DeflateFlush::NoFlush),
        Coding::Deflate => zlib(&[body], 6, Wrapper::Zlib(15), DeflateFlush::NoFlush),
        Coding::Brotli => brotli(&[body], 5, 22),
        Coding::Zstd => zstd(&[body], 3, 20),
    }
}

/// Text that compresses like JSON.
pub(crate) fn text(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 64);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (id, name) = (state % 100_000, state >> 48);
        write!(
            out,
            "{{\"id\":{id},\"name\":\"user {name:x}\",\"tags\":[\"a\",\"b\"]}},"
        )
        .unwrap();
    }
    out.truncate(length);
    out
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(length)
    .collect()
}

/// Decodes slices, with room for this many bytes at a time.
pub(crate) fn decoded<'a>(
    decoder: &mut Decoder,
    slices: impl IntoIterator<Item = &'a [u8]>,
    room: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let mut buffer = vec![0; room];
    for mut slice in slices {
        loop {
            let written = decoder.decode(&mut slice, &mut buffer)?;
            out.extend_from_slice(&buffer[..written]);
            if written < room {
                assert!(slice.is_empty(), "all of the input is used");
                break;
            }
        }
    }
    decoder.finish()?;
    Ok(out)
}

pub(crate) fn decode(
    codings: &[Coding],
    behind: Behind,
    coded: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    decoded(&mut Decoder::new(codings, behind, None)?, [coded], 4096)
}
