//! Does the kernel hold what it should? Others can detach a program or delete a map's entry behind our back: it is found
//! within a second, told, and mended.

use super::node::Node;
use super::problem::{MapFault, Problem, ProgramFault, SocketFault};
use super::reach::found_in_kernel;
use crate::bpf::program::ProgramError;
use relay_common::health::RENEW_CONTROL;
use relay_common::table::Kernel;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;

impl Node {
    /// Looks, mends what can be mended at once, and says what was wrong.
    pub async fn inspect(&mut self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.noticed);
        problems.extend(self.inspect_programs());
        match self.inspect_maps() {
            Ok(found) => problems.extend(found),
            Err(error) => problems.push(Problem::Maps(MapFault::Unreadable(format!("{error:#}")))),
        }
        problems.extend(self.inspect_sockets());
        problems.extend(self.inspect_reports().map(Problem::Reports));
        problems
    }

    fn inspect_programs(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (link, hold) in &self.attached {
            // A link that is gone took its program along; it is told as missing.
            if self.facts.link(link).is_none_or(|known| known.ifindex != hold.ifindex) {
                continue;
            }
            let fault = match hold.attached.info() {
                Ok(info) if info.ifindex != hold.ifindex => ProgramFault::Detached,
                Ok(info) if info.program != hold.program => ProgramFault::Replaced { program: info.program },
                Ok(_) => continue,
                Err(error) => ProgramFault::Unknown(error.to_string()),
            };
            problems.push(Problem::Program { link: link.clone(), fault });
        }
        let bare = self.place.inputs().filter(|(link, _)| self.facts.link(link).is_some());
        for (link, _) in bare.filter(|(link, _)| !self.attached.contains_key(*link)) {
            let why = self.facts.unusable.get(link).map_or("it could not be attached", String::as_str);
            let fault = ProgramFault::NotAttached(why.to_owned());
            problems.push(Problem::Program { link: link.to_owned(), fault });
        }
        problems
    }

    /// Puts programs back that were found elsewhere than where they were attached. That is done at the look after: what
    /// took them away may be about to put them back itself.
    pub async fn mend_programs_found(&mut self, found: &[(u64, Problem)]) {
        if !found.iter().any(|(_, problem)| matches!(problem, Problem::Program { .. })) {
            return;
        }
        let gone: Vec<String> = self
            .attached
            .iter()
            .filter(|(_, hold)| !hold.attached.info().is_ok_and(|info| info.ifindex == hold.ifindex))
            .map(|(link, _)| link.clone())
            .collect();
        for link in &gone {
            self.detach(link).await;
        }
        if !gone.is_empty() {
            let (plan, facts, place) = (self.plan.clone(), self.facts.clone(), self.place.clone());
            for (link, problem) in self.attach(&plan, &facts, &place).await {
                tracing::warn!(%link, "the program could not be attached again: {}", problem.text);
            }
        }
        if let Err(error) = self.replace_programs().await {
            tracing::warn!("a program could not be put back: {error}");
        }
    }

    fn inspect_maps(&mut self) -> anyhow::Result<Vec<Problem>> {
        let program = self.program();
        let wanted = &self.kernel;
        // Once a second, and mostly they do: no map is made of what is found.
        if holds(&wanted.inputs, &program.inputs::<Vec<_>>()?)
            && holds(&wanted.sources, &program.sources::<Vec<_>>()?)
            && program.own_macs()? == wanted.own_macs
        {
            return Ok(Vec::new());
        }
        let found = found_in_kernel(program)?;
        let mut differences = Vec::new();
        let Kernel { inputs, sources, own_macs, .. } = &self.kernel;
        compare(inputs, &found.inputs, "INPUTS", &mut differences);
        compare(sources, &found.sources, "SOURCES", &mut differences);
        compare(&as_map(own_macs), &as_map(&found.own_macs), "OWN_MACS", &mut differences);
        if !differences.is_empty() {
            self.mend_maps(&found)?;
        }
        Ok(differences.into_iter().map(Problem::Maps).collect())
    }

    fn mend_maps(&mut self, found: &Kernel) -> Result<(), ProgramError> {
        let wanted = &self.kernel;
        for key in found.inputs.keys().filter(|key| !wanted.inputs.contains_key(key)) {
            self.program.remove_input(*key)?;
        }
        for (key, value) in wanted.inputs.iter().filter(|(key, value)| found.inputs.get(key) != Some(value)) {
            self.program.put_input(*key, *value)?;
        }
        for source in found.sources.keys().filter(|source| !wanted.sources.contains_key(source)) {
            self.program.remove_source(*source)?;
        }
        for (source, slot) in wanted.sources.iter().filter(|(source, slot)| found.sources.get(source) != Some(slot)) {
            self.program.put_source(*source, *slot)?;
        }
        for mac in found.own_macs.difference(&wanted.own_macs) {
            self.program.remove_own_mac(*mac)?;
        }
        for mac in wanted.own_macs.difference(&found.own_macs) {
            self.program.put_own_mac(*mac)?;
        }
        Ok(())
    }

    /// Groups that are joined are reported when a carrier returns.
    fn inspect_reports(&self) -> Option<String> {
        match &self.reports {
            Some(reports) => reports.trouble(),
            None => Some(format!("they could not be begun with: see the log; {RENEW_CONTROL} tries again")),
        }
    }

    /// Every queue that should have a socket has it, in the lane and in the program's map.
    fn inspect_sockets(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for need in super::sockets::needs(&self.plan, &self.place, &self.facts).into_keys() {
            let Some(socket) = self.crew.socket(&need) else {
                let of_queue = self.facts.unserved.get(&(need.link.clone(), need.queue));
                let why = of_queue.or_else(|| self.facts.unusable.get(&need.link));
                let why = why.map_or("it is being made", String::as_str);
                let fault = SocketFault::Missing(why.to_owned());
                problems.push(Problem::Socket { link: need.link, queue: need.queue, fault });
                continue;
            };
            let Some(place) = self.place.input(&need.link).filter(|_| need.receives) else { continue };
            let (at, fd) = (place.socket_base() + need.queue, socket.bound.fd.as_fd());
            if matches!(self.program.has_socket(at, fd), Ok(false)) {
                let mended = self.program.put_socket(at, fd).map_err(|error| error.to_string());
                let fault = SocketFault::NotInMap(mended);
                problems.push(Problem::Socket { link: need.link, queue: need.queue, fault });
            }
        }
        problems
    }
}

fn holds<K: Ord, V: PartialEq>(wanted: &BTreeMap<K, V>, found: &[(K, V)]) -> bool {
    wanted.len() == found.len() && found.iter().all(|(key, value)| wanted.get(key) == Some(value))
}

fn compare<K: Ord, V: PartialEq>(
    wanted: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
    map: &'static str,
    faults: &mut Vec<MapFault>,
) {
    let missing = wanted.iter().filter(|(key, value)| found.get(key) != Some(value)).count();
    let foreign = found.keys().filter(|key| !wanted.contains_key(key)).count();
    if missing > 0 {
        faults.push(MapFault::Missing { map, n: missing });
    }
    if foreign > 0 {
        faults.push(MapFault::Foreign { map, n: foreign });
    }
}

fn as_map<K: Ord + Copy>(keys: &BTreeSet<K>) -> BTreeMap<K, ()> {
    keys.iter().map(|key| (*key, ())).collect()
}
