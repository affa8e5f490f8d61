//! Limits on attempts within a time window, and the network of a source address.
//!
//! Windows are aligned to the epoch, so that every function instance counts in the same ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;

/// A number of attempts per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimit {
    pub attempts: u32,
    pub window_seconds: i64,
}

impl AttemptLimit {
    /// Returns the number of the window that contains `now`.
    pub fn window(self, now: Timestamp) -> i64 {
        now.as_second().div_euclid(self.window_seconds)
    }

    /// Returns the seconds until the next window, at least 1, so that a retry after this time is counted there.
    pub fn retry_after_seconds(self, now: Timestamp) -> u64 {
        let left = self.window_seconds - now.as_second().rem_euclid(self.window_seconds);
        u64::try_from(left).unwrap_or(1).max(1)
    }
}

/// The attempts of the current window by key.
#[derive(Debug)]
pub struct AttemptCounts<K> {
    limit: AttemptLimit,
    window: i64,
    counts: BTreeMap<K, u32>,
}

/// The most keys that are counted at a time, which takes two megabytes at most.
const KEY_LIMIT: usize = 10_000;

impl<K: Ord> AttemptCounts<K> {
    pub fn new(limit: AttemptLimit) -> Self {
        Self { limit, window: 0, counts: BTreeMap::new() }
    }

    /// Counts an attempt. Returns the seconds until the next window if there were too many before.
    pub fn count(&mut self, key: K, now: Timestamp) -> Result<(), u64> {
        let window = self.limit.window(now);
        // So many keys mean that the source can change its key at will, which no count by key would stop.
        if window != self.window || self.counts.len() >= KEY_LIMIT {
            self.counts.clear();
            self.window = window;
        }
        let count = self.counts.entry(key).or_default();
        if *count >= self.limit.attempts {
            return Err(self.limit.retry_after_seconds(now));
        }
        *count += 1;
        Ok(())
    }
}

/// The network from which a request came: an IPv4 address, or the 64-bit prefix that one IPv6 customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceNetwork(Option<IpAddr>);

impl SourceNetwork {
    /// Requests without a readable address share one network.
    pub fn parse(address: Option<&str>) -> Self {
        let address = address.and_then(|text| text.parse::<IpAddr>().ok());
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_limited_per_key_and_window() {
        let mut counts = AttemptCounts::new(AttemptLimit { attempts: 2, window_seconds: 60 });
        let at = |second: i64| Timestamp::from_second(6_000 + second).unwrap();
        // Key, second, the result.
        let steps = [
            ("a", 0, Ok(())),
            ("a", 1, Ok(())),
            ("a", 10, Err(50)),
            ("b", 10, Ok(())),
            ("a", 59, Err(1)),
            ("a", 60, Ok(())),
            ("a", 61, Ok(())),
            ("a", 61, Err(59)),
        ];
        for (key, second, expected) in steps {
            assert_eq!(counts.count(key, at(second)), expected, "{key} {second}");
        }
    }

    #[test]
    fn counts_have_a_bounded_size() {
        let mut counts = AttemptCounts::new(AttemptLimit { attempts: 1, window_seconds: 60 });
        for key in 0..3 * KEY_LIMIT {
            assert_eq!(counts.count(key, Timestamp::UNIX_EPOCH), Ok(()));
        }
        assert!(counts.counts.len() <= KEY_LIMIT);
    }

    #[test]
    fn network_is_an_ipv4_address_or_an_ipv6_prefix() {
        let same = [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2"),
            ("", "unknown"),
        ];
        for (a, b) in same {
            assert_eq!(SourceNetwork::parse(Some(a)), SourceNetwork::parse(Some(b)), "{a} {b}");
        }
        let different =
            [("192.0.2.1", "192.0.2.2"), ("2001:db8:1:2::1", "2001:db8:1:3::1"), ("192.0.2.1", "")];
        for (a, b) in different {
            assert_ne!(SourceNetwork::parse(Some(a)), SourceNetwork::parse(Some(b)), "{a} {b}");
        }
        assert_eq!(SourceNetwork::parse(None), SourceNetwork::parse(Some("unknown")));
    }
}
