//! Who belongs to a service: decided on a table of processes, without looking at any.
//!
//! A pid alone says nothing. What was started carries a mark in its environment, and so does all that
//! it starts; a program that overwrites its environment is still known by pid and start time, its
//! process group, and its parents.

use crate::platform::Process;

/// The variable that holds the mark.
pub(super) const MARK: &str = "XTASK_SERVICE_RUN";

/// The mark of one run of a service: the workspace's scope, the service, the run.
pub(super) fn mark(scope: &str, name: &str, run: &str) -> String {
    format!("{scope}/{name}/{run}")
}

/// The process that a state file names, if the file is one to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known<'a> {
    pub(super) pid: u32,
    pub(super) start: &'a str,
    pub(super) run: &'a str,
}

/// What a table says of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    /// The process that was started, while it lives.
    pub(super) leader: Option<Process>,
    /// All that live, the leader among them.
    pub(super) members: Vec<Process>,
}

/// Finds the family of a service. Without a process that is `known`, whoever of the marked leads a
/// process group is its leader. `own` is this process, which is never a member, although it may have
/// been started by one.
pub(super) fn family(
    table: &[Process],
    scope: &str,
    name: &str,
    known: Option<Known>,
    own: u32,
) -> Family {
    let prefix = mark(scope, name, "");
    let marked = |it: &Process| {
        it.mark
            .as_ref()
            .is_some_and(|mark| mark.starts_with(&prefix))
    };
    // Marked as another service's: it is that one's, whoever started it.
    let free = |it: &Process| it.pid != own && (it.mark.is_none() || marked(it));
    let leader = match known {
        Some(known) => {
            let whole = mark(scope, name, known.run);
            table.iter().find(|it| {
                // Its mark says more than its start, which another clock counts otherwise: that of a
                // container, say.
                let right = match &it.mark {
                    Some(mark) => *mark == whole,
                    None => it.start == known.start,
                };
                it.pid == known.pid && free(it) && right
            })
        }
        None => table
            .iter()
            .filter(|it| free(it) && marked(it) && it.pid == it.group)
            .min_by_key(|it| age_key(&it.start)),
    };
    let mut members: Vec<Process> = table
        .iter()
        .filter(|it| free(it))
        .filter(|it| marked(it) || leader.is_some_and(|leader| it.group == leader.pid))
        .cloned()
        .collect();
    if let Some(leader) = leader
        && !members.contains(leader)
    {
        members.push(leader.clone());
    }
    let mut at = 0;
    while let Some(parent) = members.get(at).map(|it| it.pid) {
        at += 1;
        for child in table.iter().filter(|it| it.parent == parent && free(it)) {
            if !members.iter().any(|it| it.pid == child.pid) {
                members.push(child.clone());
            }
        }
    }
    Family {
        leader: leader.cloned(),
        members,
    }
}

/// Start times are numbers where the oldest has to be told from the others.
fn age_key(start: &str) -> (u64, String) {
    (start.parse().unwrap_or(u64::MAX), start.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 99;

    fn process(pid: u32, parent: u32, group: u32, mark: Option<&str>) -> Process {
        Process {
            pid,
            parent,
            group,
            start: format!("{}", pid * 10),
            suspended: false,
            mark: mark.map(str::to_owned),
        }
    }

    fn known<'a>(pid: u32, start: &'a str) -> Option<Known<'a>> {
        let run = "1";
        Some(Known { pid, start, run })
    }

    fn pids(table: &[Process], known: Option<Known>) -> (Option<u32>, Vec<u32>) {
        let family = family(table, "s", "web", known, OWN);
        let mut pids: Vec<u32> = family.members.iter().map(|it| it.pid).collect();
        pids.sort_unstable();
        (family.leader.map(|it| it.pid), pids)
    }

    #[test]
    fn all_below_a_service_belong_to_it_wherever_they_went() {
        let table = [
            process(1, 0, 1, None),
            process(5, 1, 5, Some("s/web/1")),
            process(6, 5, 5, None),                // cleared its environment
            process(7, 6, 7, None),                // and left the group
            process(8, 1, 8, Some("s/web/1")),     // a daemon of its own
            process(9, 8, 8, None),                // what that one started
            process(10, 5, 10, Some("s/db/1")),    // another service, started from this one
            process(11, 10, 10, None),             // and below that
            process(12, 1, 12, Some("t/web/1")),   // another workspace's
            process(13, 1, 13, None),              // a stranger
            process(OWN, 6, OWN, Some("s/web/1")), // `services stop`, called by the service
            process(14, OWN, OWN, None),           // and what we run ourselves
        ];
        assert_eq!(pids(&table, known(5, "50")), (Some(5), vec![5, 6, 7, 8, 9]));
    }

    #[test]
    fn a_program_that_overwrites_its_environment_is_known_by_its_start() {
        let table = [process(5, 1, 5, None), process(6, 1, 5, None)];
        assert_eq!(pids(&table, known(5, "50")), (Some(5), vec![5, 6]));
    }

    #[test]
    fn a_later_process_of_the_same_number_is_nobody_of_ours() {
        let table = [process(5, 1, 5, None), process(6, 5, 5, None)];
        assert_eq!(pids(&table, known(5, "49")), (None, vec![]));
        // Nor is one of another run, even if the file were right about all else.
        let table = [process(5, 1, 5, Some("t/other/7"))];
        assert_eq!(pids(&table, known(5, "50")), (None, vec![]));
    }

    #[test]
    fn a_mark_is_believed_whatever_the_clock_says() {
        let table = [process(5, 1, 5, Some("s/web/1"))];
        assert_eq!(pids(&table, known(5, "49")), (Some(5), vec![5]));
        let table = [process(5, 1, 5, Some("s/web/2"))];
        assert_eq!(pids(&table, known(5, "49")), (None, vec![5]));
    }

    #[test]
    fn orphans_of_a_dead_leader_are_found_by_their_mark() {
        let table = [process(6, 1, 5, Some("s/web/1")), process(7, 6, 5, None)];
        assert_eq!(pids(&table, known(5, "50")), (None, vec![6, 7]));
    }

    #[test]
    fn without_a_state_file_the_oldest_marked_leader_is_the_service() {
        let table = [
            process(20, 5, 20, Some("s/web/1")),
            process(5, 1, 5, Some("s/web/1")),
            process(6, 5, 5, Some("s/web/1")),
            process(7, 1, 7, Some("s/web2/1")),
        ];
        assert_eq!(pids(&table, None), (Some(5), vec![5, 6, 20]));
        assert_eq!(pids(&[process(5, 1, 5, None)], None), (None, vec![]));
    }

    proptest::proptest! {
        #[test]
        fn nobody_is_taken_in_without_a_reason(
            rows in proptest::collection::vec((1u32..12, 0u32..12, 1u32..12, 0u8..4), 0..12),
            pid in 1u32..12,
            right in proptest::bool::ANY,
        ) {
            let mut table: Vec<Process> = Vec::new();
            for (pid, parent, group, mark) in rows {
                let mark = [None, Some("s/web/1"), Some("s/db/1"), Some("x")][usize::from(mark)];
                if !table.iter().any(|it| it.pid == pid) {
                    table.push(process(pid, parent, group, mark));
                }
            }
            let start = if right { format!("{}", pid * 10) } else { "7".to_owned() };
            let found = family(&table, "s", "web", known(pid, &start), 3);
            let mut seen = std::collections::BTreeSet::new();
            for member in &found.members {
                proptest::prop_assert!(seen.insert(member.pid), "twice");
                proptest::prop_assert!(member.pid != 3, "itself");
                let ours = |it: &Process| it.mark.as_deref() == Some("s/web/1");
                proptest::prop_assert!(member.mark.is_none() || ours(member));
                let by_leader = found.leader.as_ref().is_some_and(|leader| {
                    leader.pid == member.pid || leader.pid == member.group
                });
                let by_parent = found.members.iter().any(|it| it.pid == member.parent);
                proptest::prop_assert!(ours(member) || by_leader || by_parent);
            }
            let marked = |it: &Process| it.mark.as_deref() == Some("s/web/1");
            proptest::prop_assert!(found.leader.as_ref().is_none_or(|it| right || marked(it)));
        }
    }
}
