//! Which processors a daemon's threads run on.
//!
//! Who sends and the mail server beside us wake each other thousands of times a second, and Linux likes to run the woken
//! where its waker runs: there they stand in each other's way while another processor rests. So the threads that send
//! keep off one processor. As many as they are, they lose nothing by it: one is left to the writers of the database in
//! any case. On two processors and beside a server on the same machine, sending is a tenth faster and far steadier so.
//! Which thread is a worker goes by the order in which they start, and a database driver's threads have it from whoever
//! started them: a thread on the wrong side costs some speed, nothing else.

use rustix::process::getpid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling thread off one of the processors that the process may run on; where there is a single one, or
/// nobody can say, nothing changes. Which one is the process's chance, so that several daemons do not all crowd together.
pub fn leave_one() {
    let Ok(all) = sched_getaffinity(Some(getpid())) else { return };
    let ours: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
    if let [_, _, ..] = ours[..] {
        let mut rest = all;
        rest.unset(ours[std::process::id() as usize % ours.len()]);
        let _ = sched_setaffinity(None, &rest);
    }
}

/// Lets the calling thread run on every processor that the process may run on, whoever started it.
pub fn take_all() {
    let _ = sched_getaffinity(Some(getpid())).and_then(|all| sched_setaffinity(None, &all));
}
