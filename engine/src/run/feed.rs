//! How a pipeline hears of news: a bounded queue that, when it overflows, says that something was missed.

use std::sync::Arc;

use roundtrip_core::caretaker::Event;
use roundtrip_core::claim::Offer;
use tokio::sync::{Notify, mpsc};

use crate::source::news::Interest;

/// Reads whose jobs wait for the pipeline; beyond it the pipeline looks for itself.
const WAITING_MAX: usize = 64;

/// The end that tells.
#[derive(Debug)]
pub(super) struct Follower {
    /// What the pipeline wants to hear of.
    pub(super) interest: Interest,
    offers: mpsc::Sender<Vec<Offer>>,
    missed: Arc<Notify>,
}

/// The end that hears.
#[derive(Debug)]
pub(super) struct Feed {
    offers: mpsc::Receiver<Vec<Offer>>,
    missed: Arc<Notify>,
}

/// Both ends.
pub(super) fn feed(interest: Interest) -> (Follower, Feed) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let missed = Arc::new(Notify::new());
    let follower = Follower {
        interest,
        offers: sender,
        missed: Arc::clone(&missed),
    };
    let feed = Feed {
        offers: receiver,
        missed,
    };
    (follower, feed)
}

impl Follower {
    /// Tells of jobs.
    pub(super) fn offer(&self, offers: Vec<Offer>) {
        // A pipeline that has ended hears nothing, and what overflows is found by a look.
        if !offers.is_empty() && self.offers.try_send(offers).is_err() {
            self.missed();
        }
    }

    /// Tells that there may be jobs nobody told of.
    pub(super) fn missed(&self) {
        self.missed.notify_one();
    }
}

impl Feed {
    /// The next news; never again once nobody tells any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            () = self.missed.notified() => Event::NewsMissed,
            Some(offers) = self.offers.recv() => Event::Offered(offers),
            else => std::future::pending().await,
        }
    }
}
