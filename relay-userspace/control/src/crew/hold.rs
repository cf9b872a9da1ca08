//! What lanes hold for whoever comes after this control. One that does not answer is not waited for again and again: it
//! lacks what it did not take, and gets it when it comes round.

use super::{Crew, Post};
use crate::vault::Held;
use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use relay_engine::lane::handoff::{Message, NOTE, kind};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Something to hold: by what it is known, itself, and what is remembered with it.
pub type ToHold = (u64, Arc<OwnedFd>, String);

impl Crew {
    /// Has every lane hold a descriptor.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub async fn hold(&mut self, tag: u64, fd: impl AsFd, note: &str) -> anyhow::Result<()> {
        ensure!(note.len() <= NOTE, "a note of {} bytes is too long", note.len());
        let fd = Arc::new(fd.as_fd().try_clone_to_owned().context("no descriptor left: raise LimitNOFILE")?);
        self.hold_all(vec![(tag, fd, note.to_owned())]).await;
        Ok(())
    }

    /// Has every lane hold all of these, with one deadline for all descriptors.
    pub async fn hold_all(&mut self, all: Vec<ToHold>) {
        // First: a lane that is started from now on is given them with everything else.
        let mut before = Vec::new();
        for (tag, fd, note) in &all {
            before.extend(self.supervisor.hold(*tag, Held { fd: Arc::clone(fd), note: note.clone() }));
        }
        for lane in self.present_lanes() {
            if let Some(post) = self.posts.get_mut(lane as usize) {
                let held = all.iter().map(|(tag, fd, note)| (*tag, Held { fd: Arc::clone(fd), note: note.clone() }));
                post.lacks.extend(held);
            }
        }
        for (lane, n, error) in self.give_what_lacks().await {
            tracing::warn!(
                lane,
                "a lane could not be given {n} descriptors that it is to hold: {error:#}; again later"
            );
        }
    }

    /// Gives lanes what they lack. Says which do not take it: how many they lack, and why.
    pub async fn give_what_lacks(&mut self) -> Vec<(u32, usize, anyhow::Error)> {
        let mut failed = Vec::new();
        for lane in 0..self.supervisor.n_lanes() {
            let post = self.posts.get(lane as usize).filter(|post| !post.is_known_to_stall());
            let n = post.map_or(0, |post| post.lacks.len());
            // A lane that was started since may lack something from the start.
            let is_fresh = self.supervisor.edit(lane, |life| life.is_fresh()).unwrap_or_default();
            if (n > 0 || is_fresh)
                && let Err(error) = self.present(lane).await
            {
                failed.push((lane, n, error));
            }
        }
        let unreachable: Vec<u32> = failed.iter().map(|(lane, ..)| *lane).collect();
        let asked = self.posts.iter_mut().filter(|post| !unreachable.contains(&post.station.number));
        failed.extend(join_all(asked.map(Post::give_what_it_lacks)).await.into_iter().flatten());
        failed
    }

    /// Has every lane let go of a descriptor.
    pub async fn forget(&mut self, tag: u64) {
        // Ours closes last: where closing waits in the kernel, no lane waits.
        let _held = self.supervisor.forget(tag);
        let _lacked: Vec<Held> = self.posts.iter_mut().filter_map(|post| post.lacks.remove(&tag)).collect();
        for lane in self.present_lanes() {
            if let Err(error) = self.ask(lane, Message { tag, ..Message::of(kind::FORGET) }, &[]).await {
                tracing::warn!(lane, tag, "a lane could not be told to let go: {error:#}");
            }
        }
    }

    /// Has every lane let go of many descriptors, with one deadline for all of them.
    pub async fn forget_all(&mut self, tags: Vec<u64>) {
        // Ours close last: where closing waits in the kernel, no lane waits.
        let _held: Vec<Held> = tags.iter().filter_map(|tag| self.supervisor.forget(*tag)).collect();
        let lacked = |post: &mut Post| tags.iter().filter_map(|tag| post.lacks.remove(tag)).collect::<Vec<_>>();
        let _lacked: Vec<Vec<Held>> = self.posts.iter_mut().map(lacked).collect();
        if tags.is_empty() {
            return;
        }
        for lane in self.present_lanes() {
            let forgotten = match self.present(lane).await {
                Ok(process) => process.forget_all(&tags).await,
                Err(error) => Err(error),
            };
            // Whoever follows one that has died knows nothing of them.
            if let Err(error) = forgotten {
                tracing::warn!(lane, n = tags.len(), "a lane could not be told to let go: {error:#}");
            }
        }
    }

    /// The lanes that run, or are being started.
    fn present_lanes(&self) -> Vec<u32> {
        let is_alive = |lane: &u32| self.supervisor.edit(*lane, |life| life.is_alive()).unwrap_or_default();
        (0..self.supervisor.n_lanes()).filter(is_alive).collect()
    }
}

impl Post {
    /// One that is known to stall would only be waited for.
    const fn is_known_to_stall(&self) -> bool {
        self.stalls
    }

    async fn give_what_it_lacks(&mut self) -> Option<(u32, usize, anyhow::Error)> {
        if self.is_known_to_stall() || self.lacks.is_empty() {
            return None;
        }
        let process = self.process.as_mut()?;
        let all: Vec<(u64, Held)> = self.lacks.iter().map(|(tag, held)| (*tag, held.clone())).collect();
        let Err((n, error)) = process.hold_all(&all).await else {
            self.lacks.clear();
            return None;
        };
        if process.has_died().await {
            // Whoever follows it is given everything.
            self.lacks.clear();
            return None;
        }
        for (tag, _) in &all[..n] {
            self.lacks.remove(tag);
        }
        Some((self.station.number, self.lacks.len(), error))
    }
}
