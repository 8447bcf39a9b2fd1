//! Looks at single paths, on threads of their own: a share that does not answer keeps nothing else waiting.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use roundtrip_core::file::Sight;
use tokio::sync::oneshot;

use super::walk::Walker;

/// Looks at once: over a network one waits while the other asks.
const THREADS: usize = 2;

struct Request {
    path: PathBuf,
    answer: oneshot::Sender<Sight>,
}

/// Where looks are asked for; its threads end with it.
pub(super) struct Looks {
    requests: Sender<Request>,
}

impl Looks {
    pub(super) fn start(walker: &Arc<Walker>) -> io::Result<Self> {
        let (requests, asked) = channel();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..THREADS {
            let (walker, asked) = (Arc::clone(walker), Arc::clone(&asked));
            let thread = thread::Builder::new().name("look".to_owned());
            thread.spawn(move || serve(&walker, &asked))?;
        }
        Ok(Self { requests })
    }

    /// Looks at a path as soon as those asked for before have their answers.
    pub(super) fn ask(&self, path: PathBuf) -> impl Future<Output = Sight> + Send + 'static + use<> {
        let (answer, seen) = oneshot::channel();
        // Threads that are no more drop the request, and with it the answer.
        let _: Result<(), _> = self.requests.send(Request { path, answer });
        async move {
            seen.await
                .unwrap_or_else(|_| Sight::Unreadable("the look at it broke off".to_owned()))
        }
    }
}

fn serve(walker: &Walker, asked: &Mutex<Receiver<Request>>) {
    let next = || asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Request { path, answer }) = next() {
        if !answer.is_closed() {
            // Whoever asked may be gone by now.
            let _: Result<(), Sight> = answer.send(walker.look(&path));
        }
    }
}
