//! Which cores this process may use, and how a thread is pinned to one.

use core_affinity::CoreId;

/// Numbers of the CPUs this process is allowed to run on (its affinity mask), in order.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    let mut cpus: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    cpus.sort_unstable();
    cpus
}

/// Pins the calling thread to one CPU; false if the system refused.
#[must_use]
pub fn pin_to(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

/// Reads a CPU list as `taskset` and cgroups write it: `0-2,5`.
///
/// # Errors
/// The part of the text that is no CPU number or range.
pub fn parse_cpu_list(text: &str) -> Result<Vec<usize>, String> {
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < CPUS_MAX => cpus.extend(first..=last),
            _ => return Err(part.to_owned()),
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Highest CPU number that a list may name.
const CPUS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::parse_cpu_list;

    #[test]
    fn a_list_of_numbers_and_ranges_is_read() {
        assert_eq!(parse_cpu_list("3,0-1, 1"), Ok(vec![0, 1, 3]));
    }

    #[test]
    fn what_is_no_cpu_is_named() {
        assert_eq!(parse_cpu_list("0,x"), Err("x".to_owned()));
        assert_eq!(parse_cpu_list("3-1"), Err("3-1".to_owned()));
        assert_eq!(parse_cpu_list(""), Err(String::new()));
        assert_eq!(parse_cpu_list("0-99999999"), Err("0-99999999".to_owned()));
    }
}
