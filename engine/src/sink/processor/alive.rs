//! Whether something of an analysis still runs: a command may take a while to end after nobody waits for its result.

use std::convert::Infallible;

use tokio::sync::mpsc;

/// Held by whatever runs for an analysis.
#[derive(Clone, Debug)]
pub struct Alive(#[expect(dead_code, reason = "it tells by being dropped")] mpsc::Sender<Infallible>);

/// Tells when nothing runs any more.
#[derive(Debug)]
pub struct Gone(mpsc::Receiver<Infallible>);

/// For one analysis: what runs holds the one, who waits for its end the other.
pub fn alive() -> (Alive, Gone) {
    let (sender, receiver) = mpsc::channel(1);
    (Alive(sender), Gone(receiver))
}

impl Gone {
    /// Waits until every [`Alive`] is dropped.
    pub async fn wait(mut self) {
        let _ = self.0.recv().await;
    }
}
