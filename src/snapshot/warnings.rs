//! What of a world is allowed and yet hardly meant.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::Place;
use crate::snapshot::World;
use crate::snapshot::build;
use crate::snapshot::fallback;
use crate::snapshot::issuers;
use crate::snapshot::parameters;

/// Expired keys that are named one by one.
const EXPIRED_SHOWN: usize = 5;

/// The warnings about a file ([`config::warnings`]), and those about what it refers to: keys that have expired, keys of
/// issuers that cannot be used.
#[must_use]
pub fn warnings(file: &File, world: &World) -> Vec<Error> {
    let mut warnings = config::warnings(file);
    warnings.extend(issuers::warnings(file, world));
    for parameter in file.models.iter().filter_map(|m| m.parameters.as_ref()).flat_map(|p| &p.list)
    {
        if let Some(meant) = parameters::meant(&parameter.name) {
            let text = format!("no operation knows this parameter; did you mean \"{meant}\"?");
            warnings.push(file.error(&parameter.place, text));
        }
    }
    if let Ok(route) = build::table(file, |_| true) {
        let circles = fallback::circles(file, &route);
        warnings.extend(circles.into_iter().map(|(place, text)| file.error(&place, text)));
    }
    expired(file, world, &mut warnings);
    warnings.sort();
    warnings
}

fn expired(file: &File, world: &World, warnings: &mut Vec<Error>) {
    let is_over = |unix_s: &u64| *unix_s <= world.now_unix_s;
    let mut more = 0;
    for key in file.tenants.iter().flat_map(|tenant| &tenant.keys) {
        let Some(unix_s) = key.expires_unix_s.filter(is_over) else { continue };
        if warnings_of(&file.name, warnings) >= EXPIRED_SHOWN {
            more += 1;
            continue;
        }
        let text = text(&key.id, unix_s);
        warnings.push(file.error(&key.place, text));
    }
    if more > 0 {
        warnings.push(file.error(&Place::default(), format!("{more} more keys have expired")));
    }
    for keys in &world.key_files {
        let mut more = 0;
        for line in &keys.lines {
            let Some(unix_s) = line.expires_unix_s.filter(is_over) else { continue };
            if warnings_of(&keys.name, warnings) >= EXPIRED_SHOWN {
                more += 1;
                continue;
            }
            warnings.push(keys.error(line.line, "expires", text(&line.id, unix_s)));
        }
        if more > 0 {
            warnings.push(keys.error(0, "", format!("{more} more keys have expired")));
        }
    }
}

fn warnings_of(file: &str, warnings: &[Error]) -> usize {
    let of_file = warnings.iter().filter(|warning| warning.file == file);
    of_file.filter(|warning| warning.text.contains("has expired: ")).count()
}

fn text(id: &str, unix_s: u64) -> String {
    format!("the key \"{id}\" has expired: its time was over at {}", config::show_date(unix_s))
}
