//! How many connections are served at a time: `max.connections` in all, `max.connections.per.ip` from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections of a broker, over all its listeners.
pub(crate) struct ConnectionLimits {
    max: usize,
    max_per_ip: usize,
    served: Mutex<Served>,
}

#[derive(Default)]
struct Served {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Why a connection is closed as soon as it is made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConnectionRefused {
    #[error("max.connections={0} is reached")]
    Max(usize),
    #[error("max.connections.per.ip={0} is reached")]
    MaxPerIp(usize),
}

/// A connection's place; free again when dropped.
pub(crate) struct ConnectionPlace {
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
}

impl ConnectionLimits {
    pub(crate) fn new(max: i32, max_per_ip: i32) -> ConnectionLimits {
        let [max, max_per_ip] = [max, max_per_ip].map(|limit| usize::try_from(limit).unwrap_or(0));
        ConnectionLimits { max, max_per_ip, served: Mutex::default() }
    }

    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<ConnectionPlace, ConnectionRefused> {
        let mut served = self.served.lock();
        if served.total >= self.max {
            return Err(ConnectionRefused::Max(self.max));
        }
        let of_ip = served.by_ip.get(&ip).copied().unwrap_or(0);
        if of_ip >= self.max_per_ip {
            return Err(ConnectionRefused::MaxPerIp(self.max_per_ip));
        }
        served.total += 1;
        served.by_ip.insert(ip, of_ip + 1);
        Ok(ConnectionPlace { limits: self.clone(), ip })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut served = self.limits.served.lock();
        served.total -= 1;
        if let Some(of_ip) = served.by_ip.get_mut(&self.ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                served.by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address_and_come_back() {
        let limits = Arc::new(ConnectionLimits::new(3, 2));
        let [one, other] = ["127.0.0.1", "::1"].map(|ip| ip.parse().unwrap());
        let first = limits.admit(one).ok().unwrap();
        let _second = limits.admit(one).ok().unwrap();
        assert_eq!(limits.admit(one).err(), Some(ConnectionRefused::MaxPerIp(2)));
        let _third = limits.admit(other).ok().unwrap();
        assert_eq!(limits.admit(other).err(), Some(ConnectionRefused::Max(3)));
        drop(first);
        assert!(limits.admit(one).is_ok());
    }
}
