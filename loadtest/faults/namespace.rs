//! A network namespace with a cable to ours, in which a route can swallow everything: a real black hole.
//!
//! It has no name: it lives as long as a process of its own, which ends with the tester, and takes the cable with it.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// A namespace of its own, connected to ours.
#[derive(Debug)]
pub struct Namespace {
    /// Ends at the end of its input, which is ours.
    holder: Child,
    near: Ipv4Addr,
    /// The address inside.
    pub far: Ipv4Addr,
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.holder.kill();
        let _gone = self.holder.wait();
    }
}

/// Turns of waiting for the holder to be in its namespace.
const TURNS_MAX: u32 = 200;
const TURN: Duration = Duration::from_millis(5);

impl Namespace {
    /// Makes one; that needs the right to (root, or CAP_NET_ADMIN and CAP_SYS_ADMIN) and `unshare`, `nsenter` and `ip`.
    ///
    /// # Errors
    /// What is missing.
    pub fn make() -> io::Result<Self> {
        let holder =
            Command::new("unshare").args(["--net", "--", "cat"]).stdin(Stdio::piped()).spawn()?;
        let pid = holder.id();
        let (near, far) = addresses(pid);
        let mut namespace = Self { holder, near, far };
        namespace.wait()?;
        let cable = format!("rw{pid}");
        let inside = pid.to_string();
        ip(
            None,
            &["link", "add", &cable, "type", "veth", "peer", "name", "far", "netns", &inside],
        )?;
        ip(None, &["address", "add", &format!("{near}/30"), "dev", &cable])?;
        ip(None, &["link", "set", &cable, "up"])?;
        ip(Some(pid), &["address", "add", &format!("{far}/30"), "dev", "far"])?;
        ip(Some(pid), &["link", "set", "far", "up"])?;
        ip(Some(pid), &["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Waits until the holder has left our namespace.
    fn wait(&mut self) -> io::Result<()> {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
        let own = of("self")?;
        for _ in 0..TURNS_MAX {
            if let Some(status) = self.holder.try_wait()? {
                return Err(io::Error::other(format!("unshare --net: {status}")));
            }
            if of(&self.holder.id().to_string()).is_ok_and(|namespace| namespace != own) {
                return Ok(());
            }
            thread::sleep(TURN);
        }
        Err(io::Error::other("unshare --net: it stays where it is"))
    }

    /// A process that is inside.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// Lets everything vanish that comes from outside: the way back is a black hole, so that not even a connection's first
    /// answer finds it.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn swallow(&self) -> io::Result<()> {
        ip(Some(self.pid()), &["route", "add", "blackhole", &self.near.to_string()])
    }

    /// As it was.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn release(&self) -> io::Result<()> {
        ip(Some(self.pid()), &["route", "del", "blackhole", &self.near.to_string()])
    }
}

/// Both ends of a cable: two addresses that no other tester on this host takes at the same time, most likely.
fn addresses(pid: u32) -> (Ipv4Addr, Ipv4Addr) {
    let [_, _, high, low] = (pid << 2).to_be_bytes();
    let at = |end: u8| Ipv4Addr::new(10, 231, high, low | end);
    (at(1), at(2))
}

fn ip(inside: Option<u32>, args: &[&str]) -> io::Result<()> {
    let mut command = match inside {
        None => Command::new("ip"),
        Some(pid) => {
            let mut command = Command::new("nsenter");
            command.args(["--target", &pid.to_string(), "--net", "--", "ip"]);
            command
        }
    };
    let output = command.args(args).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", args.join(" "), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_in_one_network_of_four() {
        let (near, far) = addresses(0x0001_4321);
        assert_eq!(near, Ipv4Addr::new(10, 231, 0x0c, 0x85));
        assert_eq!(far.to_bits() - near.to_bits(), 1);
        assert_eq!(near.to_bits() & 3, 1);
    }
}
