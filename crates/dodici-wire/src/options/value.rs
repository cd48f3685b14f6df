//! Readers for the values of options, into a field of the configuration.
//!
//! Called by the table's reader. Numbers are `f64` in the record, JavaScript's only kind.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use dodici_pool::{
    AddressOrder, ConnectFailure, DnsCacheConfig, Family, HeaderBlock, Http3Config, Http3Mode,
    OriginConfig, PoolConfig, Scheme, TlsConfig, TlsVersion,
};

use super::{Allow, OptionsError, tls_alone};
use crate::cursor::Reader;

/// Longest time: ten years, which no process will reach and which can be added to any clock. Longer
/// times never expire.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// One value.
pub(super) struct Value<'a>(pub(super) &'a [u8]);

/// What is wrong with a value.
pub(super) enum Wrong {
    /// What would be valid.
    Expected(&'static str),
    /// An error inside a nested list.
    Inside(OptionsError),
}

type Read = Result<(), Wrong>;

impl Value<'_> {
    fn utf8(&self) -> Result<&str, Wrong> {
        std::str::from_utf8(self.0).map_err(|_| Wrong::Expected("UTF-8 text"))
    }

    /// A number that is not NaN.
    fn number(&self) -> Result<f64, Wrong> {
        let mut reader = Reader::new(self.0);
        match reader.f64() {
            Ok(number) if reader.is_empty() && !number.is_nan() => Ok(number),
            _ => Err(Wrong::Expected("a number")),
        }
    }

    fn not_negative(&self) -> Result<f64, Wrong> {
        let number = self.number()?;
        if number < 0.0 {
            return Err(Wrong::Expected("a number that is not negative"));
        }
        Ok(number)
    }

    // ---- numbers ----

    /// A count; fractions are truncated, larger numbers saturate.
    pub(super) fn count(&self, to: &mut u32) -> Read {
        *to = self.not_negative()? as u32;
        Ok(())
    }

    /// A count that may be absent.
    pub(super) fn some_count(&self, to: &mut Option<u32>) -> Read {
        self.count(to.insert(0))
    }

    /// A count where 0 and `Infinity` mean no limit.
    pub(super) fn limit(&self, to: &mut Option<NonZeroU32>) -> Read {
        let number = self.not_negative()?;
        *to = NonZeroU32::new(number as u32).filter(|_| number.is_finite());
        Ok(())
    }

    /// Bytes of a buffer.
    pub(super) fn bytes(&self, to: &mut usize) -> Read {
        let mut count = 0;
        self.count(&mut count)?;
        *to = count as usize;
        Ok(())
    }

    /// Bytes; a negative number and `Infinity` mean no limit.
    pub(super) fn size(&self, to: &mut Option<u64>) -> Read {
        let number = self.number()?;
        *to = (number >= 0.0 && number.is_finite()).then_some(number as u64);
        Ok(())
    }

    /// Requests in flight; 0 disables keep-alive.
    pub(super) fn pipelining(&self, to: &mut PoolConfig) -> Read {
        self.count(&mut to.pipelining)?;
        to.keep_alive = super::keeps_alive(to.pipelining);
        Ok(())
    }

    pub(super) fn streams(&self, to: &mut OriginConfig) -> Read {
        self.count(&mut to.http2.max_concurrent_streams)?;
        to.http3.max_concurrent_streams = to.http2.max_concurrent_streams;
        Ok(())
    }

    /// Bytes of a window that does not grow.
    pub(super) fn window(&self, to: &mut OriginConfig) -> Read {
        self.count(&mut to.http2.stream_window)?;
        to.http2.max_stream_window = to.http2.stream_window;
        to.http3.stream_window = to.http2.stream_window;
        Ok(())
    }

    pub(super) fn connection_window(&self, to: &mut OriginConfig) -> Read {
        self.some_count(&mut to.http2.connection_window)?;
        to.http3.connection_window = to.http2.connection_window;
        Ok(())
    }

    /// HTTP/3's default stays the longest: a connection that says nothing for longer is lost.
    pub(super) fn ping_interval(&self, to: &mut OriginConfig) -> Read {
        self.timeout(&mut to.http2.ping_interval)?;
        let most = Http3Config::default().ping_interval;
        to.http3.ping_interval = to.http2.ping_interval.min(most);
        Ok(())
    }

    pub(super) fn port(&self, to: &mut Option<u16>) -> Read {
        let number = self.number()?;
        if !(0.0..=65535.0).contains(&number) || number.fract() != 0.0 {
            return Err(Wrong::Expected("a port, 0 to 65535"));
        }
        *to = Some(number as u16);
        Ok(())
    }

    /// A port; 0: the system chooses.
    pub(super) fn local_port(&self, to: &mut u16) -> Read {
        let mut port = None;
        self.port(&mut port)?;
        *to = port.unwrap_or_default();
        Ok(())
    }

    /// A number of one byte.
    pub(super) fn octet(&self, to: &mut Option<u8>) -> Read {
        let number = self.number()?;
        if !(0.0..=255.0).contains(&number) {
            return Err(Wrong::Expected("a number, 0 to 255"));
        }
        *to = Some(number as u8);
        Ok(())
    }

    pub(super) fn family(&self, to: &mut Family) -> Read {
        *to = match self.number()? as i64 {
            0 => Family::Any,
            4 => Family::V4,
            6 => Family::V6,
            _ => return Err(Wrong::Expected("0, 4 or 6")),
        };
        Ok(())
    }

    // ---- milliseconds ----

    /// A time; more than [`LONGEST`] is [`LONGEST`].
    pub(super) fn time(&self, to: &mut Duration) -> Read {
        *to = duration(self.not_negative()?).unwrap_or(LONGEST);
        Ok(())
    }

    /// A time without a limit.
    pub(super) fn rest(&self, to: &mut Option<Duration>) -> Read {
        *to = duration(self.not_negative()?);
        Ok(())
    }

    /// A time where 0 means never.
    pub(super) fn timeout(&self, to: &mut Option<Duration>) -> Read {
        let number = self.not_negative()?;
        *to = duration(number).filter(|_| number > 0.0);
        Ok(())
    }

    /// A time where a negative number means none.
    pub(super) fn probe(&self, to: &mut Option<Duration>) -> Read {
        *to = duration(self.number()?);
        Ok(())
    }

    // ---- one byte ----

    pub(super) fn flag(&self, to: &mut bool) -> Read {
        *to = match self.0 {
            [0] => false,
            [1] => true,
            _ => return Err(Wrong::Expected("one byte, 0 or 1")),
        };
        Ok(())
    }

    pub(super) fn fail_queue(&self, to: &mut ConnectFailure) -> Read {
        let mut all = false;
        self.flag(&mut all)?;
        *to = if all {
            ConnectFailure::FailQueue
        } else {
            ConnectFailure::FailOldest
        };
        Ok(())
    }

    /// Whether HTTP/3 is used where it is offered. Prior knowledge takes precedence, in any order.
    pub(super) fn discovered(&self, to: &mut Http3Mode) -> Read {
        let mut wanted = false;
        self.flag(&mut wanted)?;
        if wanted && *to == Http3Mode::Off {
            *to = Http3Mode::Discovered;
        }
        Ok(())
    }

    // ---- several numbers ----

    /// How long names are kept, and how many.
    pub(super) fn dns_cache(&self, to: &mut Option<DnsCacheConfig>) -> Read {
        let (numbers, _) = self.0.as_chunks::<8>();
        let [ttl, stale_ttl, negative_ttl, max_entries] = numbers else {
            return Err(Wrong::Expected("four numbers"));
        };
        let config = to.insert(DnsCacheConfig::default());
        Value(ttl).time(&mut config.ttl)?;
        Value(stale_ttl).time(&mut config.stale_ttl)?;
        Value(negative_ttl).time(&mut config.negative_ttl)?;
        Value(max_entries).bytes(&mut config.max_entries)
    }

    // ---- text ----

    pub(super) fn text(&self, to: &mut Option<String>) -> Read {
        *to = Some(self.utf8()?.to_owned());
        Ok(())
    }

    pub(super) fn path(&self, to: &mut Option<PathBuf>) -> Read {
        *to = Some(PathBuf::from(self.utf8()?));
        Ok(())
    }

    pub(super) fn address(&self, to: &mut Option<IpAddr>) -> Read {
        *to = match self.utf8()?.parse() {
            Ok(address) => Some(address),
            Err(_) => return Err(Wrong::Expected("an IP address")),
        };
        Ok(())
    }

    pub(super) fn scheme(&self, to: &mut Option<Scheme>) -> Read {
        *to = Some(match self.0 {
            b"http" => Scheme::Http,
            b"https" => Scheme::Https,
            _ => return Err(Wrong::Expected("http or https")),
        });
        Ok(())
    }

    pub(super) fn order(&self, to: &mut AddressOrder) -> Read {
        *to = match self.0 {
            b"verbatim" => AddressOrder::Verbatim,
            b"ipv4first" => AddressOrder::V4First,
            b"ipv6first" => AddressOrder::V6First,
            _ => return Err(Wrong::Expected("verbatim, ipv4first or ipv6first")),
        };
        Ok(())
    }

    pub(super) fn http3(&self, to: &mut Http3Mode) -> Read {
        if self.0 != b"prior-knowledge" {
            return Err(Wrong::Expected("prior-knowledge"));
        }
        *to = Http3Mode::PriorKnowledge;
        Ok(())
    }

    pub(super) fn tls_version(&self, to: &mut TlsVersion) -> Read {
        *to = match self.0 {
            b"TLSv1.2" => TlsVersion::Tls12,
            b"TLSv1.3" => TlsVersion::Tls13,
            _ => return Err(Wrong::Expected("TLSv1.2 or TLSv1.3")),
        };
        Ok(())
    }

    pub(super) fn allow(&self, to: &mut Option<Allow>) -> Read {
        *to = Some(match self.0 {
            b"public" => Allow::Public,
            b"asked" => Allow::Asked,
            _ => return Err(Wrong::Expected("public or asked")),
        });
        Ok(())
    }

    // ---- bytes ----

    pub(super) fn octets(&self, to: &mut Option<Vec<u8>>) -> Read {
        *to = Some(self.0.to_vec());
        Ok(())
    }

    /// Numbers of a registry of TLS, `u16` each.
    pub(super) fn code_points(&self, to: &mut Option<Vec<u16>>) -> Read {
        let (pairs, rest) = self.0.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Wrong::Expected("numbers of two bytes"));
        }
        *to = Some(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect());
        Ok(())
    }

    /// One of several.
    pub(super) fn one_more(&self, to: &mut Vec<Vec<u8>>) -> Read {
        to.push(self.0.to_vec());
        Ok(())
    }

    /// `name LF value`.
    pub(super) fn field(&self, to: &mut HeaderBlock) -> Read {
        let Some(at) = self.0.iter().position(|byte| *byte == b'\n') else {
            return Err(Wrong::Expected("a name, LF and a value"));
        };
        to.push(&self.0[..at], &self.0[at + 1..]);
        Ok(())
    }

    /// A nested list of TLS options.
    pub(super) fn tls(&self, to: &mut Option<TlsConfig>) -> Read {
        *to = Some(tls_alone(self.0).map_err(Wrong::Inside)?);
        Ok(())
    }
}

/// `None`: negative, or longer than [`LONGEST`].
fn duration(millis: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(millis / 1000.0)
        .ok()
        .filter(|time| *time <= LONGEST)
}
