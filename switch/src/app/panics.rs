//! What a panic costs. The runtime would swallow it and go on without the task: without its
//! accept loop a worker would let connections wait for ever, without the reconciler nobody would
//! notice a dead backend. So the process ends, and whoever supervises it starts it anew.

use super::{Exit, output};

/// From now on a panic in a worker's own tasks (not in one of its connections, which end alone) or
/// in the control plane ends the process with
/// [`Exit::Failed`], after the usual message.
pub(crate) fn end_the_process() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        let thread = std::thread::current();
        let is_contained = crate::data::is_guarded();
        if let Some(name) = thread.name().filter(|name| is_vital(name) && !is_contained) {
            output::error(&format!(
                "the thread {name} panicked: this is a fault of pointsman"
            ));
            std::process::exit(Exit::Failed as i32);
        }
    }));
}

fn is_vital(thread: &str) -> bool {
    thread == "control" || thread == "contact" || thread.starts_with("worker-")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const CHILD: &str = "POINTSMAN_TEST_PANIC_IN";

    /// Runs this very test in a process of its own, which panics in a task of the named thread.
    fn exit_code(thread: &str) -> Option<i32> {
        let program = std::env::current_exe().expect("this program");
        let name = "app::panics::tests::a_panic_in_a_vital_thread_ends_the_process_with_5";
        let mut command = Command::new(program);
        let output = command.args(["--exact", name]).env(CHILD, thread).output();
        output.expect("it starts").status.code()
    }

    fn panic_in(thread: String) {
        super::end_the_process();
        let body = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let task = async { panic!("on purpose") };
            let _ = runtime
                .expect("a runtime")
                .block_on(async { tokio::spawn(task).await });
        };
        let thread = std::thread::Builder::new()
            .name(thread)
            .spawn(body)
            .expect("a thread");
        thread
            .join()
            .expect("the task's panic is the runtime's affair");
    }

    #[test]
    fn a_panic_in_a_vital_thread_ends_the_process_with_5() {
        if let Ok(thread) = std::env::var(CHILD) {
            return panic_in(thread);
        }
        assert_eq!(exit_code("worker-3"), Some(5));
        assert_eq!(exit_code("control"), Some(5));
        assert_eq!(exit_code("contact"), Some(5));
        assert_eq!(exit_code("keys"), Some(0), "others are not vital");
    }
}
