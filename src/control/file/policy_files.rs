//! The files that say who may enter: key files, lists of addresses, key sets.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::config::JwtKeys;
use crate::control::file::FILE_BYTES_MAX;
use crate::control::file::read_bounded;
use crate::snapshot::World;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The longest key file, in bytes: a million keys.
const KEYS_BYTES_MAX: u64 = 512 << 20;

/// Reads them into `world`.
pub(super) fn read(file: &File, world: &mut World, errors: &mut Vec<Error>) {
    for list in file.address_files() {
        if world.address_files.contains_key(&list.path) {
            continue;
        }
        match text(&list.path, FILE_BYTES_MAX) {
            Ok(text) => {
                let (networks, wrong) =
                    config::read_networks(&text, &list.path.display().to_string());
                errors.extend(wrong);
                Arc::make_mut(&mut world.address_files).insert(list.path.clone(), networks);
            }
            Err(why) => errors.push(file.error(&list.place, why)),
        }
    }
    for (index, jwt) in file.jwt.iter().enumerate() {
        let Some(JwtKeys::File(keys)) = &jwt.keys else { continue };
        match text(&keys.path, FILE_BYTES_MAX) {
            Ok(text) => {
                world.jwks.insert(index, text.into_bytes());
            }
            Err(why) => errors.push(file.error(&keys.place, why)),
        }
    }
    let Some(keys) = &file.keys else { return };
    match key_files(&keys.path) {
        Ok(paths) => {
            for path in paths {
                match text(&path, KEYS_BYTES_MAX) {
                    Ok(text) => {
                        let (keys, wrong) = config::keys::read(&text, &path.display().to_string());
                        errors.extend(wrong);
                        world.key_files.push(Arc::new(keys));
                    }
                    Err(why) => errors.push(file.error(&keys.place, why)),
                }
            }
        }
        Err(why) => errors.push(file.error(&keys.place, why)),
    }
}

/// All of them, for whoever looks whether they have changed.
pub(super) fn paths(file: &File) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = file.address_files().map(|list| list.path.clone()).collect();
    for jwt in &file.jwt {
        if let Some(JwtKeys::File(keys)) = &jwt.keys {
            paths.push(keys.path.clone());
        }
    }
    if let Some(keys) = &file.keys {
        paths.push(keys.path.clone());
        paths.extend(key_files(&keys.path).unwrap_or_default());
    }
    paths.sort();
    paths.dedup();
    paths
}

/// The file itself, or every `*.jsonl` of a folder, by name.
fn key_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let wrong = |why: std::io::Error| format!("{} cannot be read: {why}", path.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let bytes = read_bounded(path, bytes_max).map_err(|why| format!("{} {why}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
}
