//! The file of measured tiles, `zeropoint/tiles.json` in the user's cache folder: adapter → product → tile.
//!
//! It is not trusted, and only makes things faster: a file that is damaged, too large, or of another version counts as
//! empty and is replaced; one that cannot be written is done without. Each change reads the file again, so that what other
//! processes wrote meanwhile stays.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "tiles.json";
/// Most bytes of a file: some thousand products.
const MOST: u64 = 1 << 20;
/// Tiles and shaders change from version to version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The tile of each product of an adapter, all by name.
type Known = BTreeMap<String, String>;

#[derive(Default, Serialize, Deserialize)]
struct Content {
    version: String,
    adapters: BTreeMap<String, Known>,
}

/// What is known of one adapter.
#[derive(Debug)]
pub(super) struct Cache {
    file: Option<PathBuf>,
    adapter: String,
    known: Known,
    closed: bool,
}

impl Cache {
    /// Reads what is known of an adapter; without a folder nothing is, and nothing is kept.
    pub fn open(folder: Option<PathBuf>, adapter: String) -> Cache {
        let file = folder.map(|folder| folder.join(NAME));
        let mut content = file.as_deref().and_then(read).unwrap_or_default();
        Cache {
            known: content.adapters.remove(&adapter).unwrap_or_default(),
            file,
            adapter,
            closed: false,
        }
    }

    /// The tile of a product.
    pub fn get(&self, product: &str) -> Option<String> {
        self.known.get(product).cloned()
    }

    /// Keeps the tile of a product, or forgets it.
    pub fn set(&mut self, product: &str, tile: Option<String>) {
        match tile.clone() {
            Some(tile) => self.known.insert(product.to_owned(), tile),
            None => self.known.remove(product),
        };
        if let Some(file) = &self.file {
            // What cannot be kept is measured again.
            let _ = self.write(file, product, tile);
        }
    }

    fn write(&self, file: &Path, product: &str, tile: Option<String>) -> io::Result<()> {
        let mut content = read(file).unwrap_or_default();
        VERSION.clone_into(&mut content.version);
        let known = content.adapters.entry(self.adapter.clone()).or_default();
        match tile {
            Some(tile) => known.insert(product.to_owned(), tile),
            None => known.remove(product),
        };
        let mut text = serde_json::to_string_pretty(&content)?;
        if text.len() as u64 > MOST {
            // Full: it starts anew with the adapter that is in use.
            content.adapters = BTreeMap::from([(self.adapter.clone(), self.known.clone())]);
            text = serde_json::to_string_pretty(&content)?;
        }
        if text.len() as u64 > MOST {
            text = serde_json::to_string_pretty(&Content::default())?;
        }
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        let mut beside = builder
            .prefix(".zeropoint-")
            .suffix(".tmp")
            .tempfile_in(folder)?;
        beside.write_all(text.as_bytes())?;
        beside.persist(file)?;
        Ok(())
    }

    /// Whether nothing more is to be measured on this device.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing more is to be measured.
    pub fn close(&mut self) {
        self.closed = true;
    }
}

/// What a file says, if it is one of this version.
fn read(file: &Path) -> Option<Content> {
    let mut text = String::new();
    let file = File::open(file).ok()?;
    file.take(MOST + 1).read_to_string(&mut text).ok()?;
    if text.len() as u64 > MOST {
        return None;
    }
    let content: Content = serde_json::from_str(&text).ok()?;
    (content.version == VERSION).then_some(content)
}

/// Where a user's programs keep what they can do without.
pub(super) fn folder() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = if cfg!(windows) {
        of("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        of("HOME").map(|home| home.join("Library/Caches"))
    } else {
        let stated = of("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
        stated.or_else(|| of("HOME").map(|home| home.join(".cache")))
    };
    let absolute = folder.filter(|folder| folder.is_absolute())?;
    Some(absolute.join("zeropoint"))
}
