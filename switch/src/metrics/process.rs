//! The process itself, under the names that all Prometheus clients use. Read from `/proc`
//! (proc(5)); what cannot be read is left out.

use std::fs;

use super::collect::Page;
use super::table::Family;

/// Adds what the kernel says of this process.
pub(super) fn collect(page: &mut Page) {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    if let Some(stat) = read("stat").as_deref().and_then(Stat::parse) {
        page.put(Family::ProcessCpu, &[], stat.cpu_ticks as f64 / ticks);
        page.put(Family::ProcessThreads, &[], stat.threads as f64);
        let resident = stat.resident_pages * rustix::param::page_size() as u64;
        page.put(Family::ProcessResident, &[], resident as f64);
        if let Some(boot) = fs::read_to_string("/proc/stat")
            .ok()
            .as_deref()
            .and_then(boot_time)
        {
            page.put(
                Family::ProcessStart,
                &[],
                boot as f64 + stat.start_ticks as f64 / ticks,
            );
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        page.put(
            Family::ProcessOpenFds,
            &[],
            entries.count().saturating_sub(1) as f64,
        );
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        page.put(Family::ProcessMaxFds, &[], most as f64);
    }
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/{file}")).ok()
}

/// What is used of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The second field is the program's name, which may hold blanks and brackets.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        // Fields are counted from 1 in proc(5); the first of `fields` is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

/// Seconds since 1970.
fn boot_time(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 900 0 0 0 31 12 0 0 20 0 5 0 4711 \
                    99999744 256 18446744073709551615 1 1 0";
        let expected = Stat {
            cpu_ticks: 43,
            threads: 5,
            start_ticks: 4711,
            resident_pages: 256,
        };
        assert_eq!(Stat::parse(stat), Some(expected));
    }

    #[test]
    fn the_boot_time_is_found_among_the_other_lines() {
        assert_eq!(
            boot_time("cpu 1 2 3\nbtime 1700000000\nprocesses 4\n"),
            Some(1_700_000_000)
        );
        assert_eq!(boot_time("cpu 1 2 3\n"), None);
    }
}
