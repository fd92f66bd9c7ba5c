//! What control is told: by signals, and by the process itself.

use std::io;
use std::net::SocketAddr;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Commands that wait at most. They are few, and each is as good as two of its kind.
const COMMANDS_MAX: usize = 16;

/// What control can be told, by a signal or by the process itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// As SIGHUP: read the config again, open the access log again.
    Reread,
    /// SIGTERM, SIGINT: drain and end; a second one ends at once.
    End,
    /// End at once.
    Stop,
    /// Every shard listens, at this address: registries may hear of the gateway.
    Listening(SocketAddr),
}

/// A command or a signal that is not one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Command(Command),
    /// SIGHUP.
    Hangup,
}

/// Tells control what to do, from any thread.
#[derive(Clone, Debug)]
pub struct Remote(mpsc::Sender<Command>);

/// Control's end of a [`Remote`].
#[derive(Debug)]
pub struct Commands(mpsc::Receiver<Command>);

/// A remote and the end that goes into [`Options`].
#[must_use]
pub fn remote() -> (Remote, Commands) {
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    (Remote(sender), Commands(receiver))
}

impl Remote {
    /// Tells control; false if it has ended or has not looked for a long time. Never waits.
    pub fn tell(&self, command: Command) -> bool {
        self.0.try_send(command).is_ok()
    }
}

/// Signals and the process's own commands, as one queue.
pub(super) fn orders(
    mut commands: Commands,
    tasks: &mut JoinSet<()>,
) -> io::Result<mpsc::Receiver<Order>> {
    let (sender, orders) = mpsc::channel(COMMANDS_MAX);
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tasks.spawn(async move {
        loop {
            let order = tokio::select! {
                Some(()) = hang_up.recv() => Order::Hangup,
                Some(()) = terminate.recv() => Order::Command(Command::End),
                Some(()) = interrupt.recv() => Order::Command(Command::End),
                Some(command) = commands.0.recv() => Order::Command(command),
                else => return,
            };
            if sender.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(orders)
}

/// Waits until somebody says to end; there is nothing else to obey before the first snapshot.
pub(super) async fn end(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if matches!(order, Order::Command(Command::End | Command::Stop)) {
            return;
        }
    }
    std::future::pending().await
}
