//! Tree → bytes. planus writes the tables; the data of the buffers is appended behind them, aligned.

use std::io::Write;
use std::path::Path;

use planus::{Builder, Offset, WriteAsOffset};

use super::generated::tflite::{Buffer, Model, Operator, SubGraph};
use super::{Error, IDENTIFIER, MAX_FLATBUFFER};

/// The data of every buffer starts at a multiple of this, counted from the start of the file.
const ALIGNMENT: usize = 16;

/// Bytes of a FlatBuffer before its tables: the offset of the root, and the identifier.
const HEADER: usize = 8;

/// Slots of the fields of `Buffer` in its vtable.
const DATA_SLOT: usize = 0;
const OFFSET_SLOT: usize = 1;

/// Where the data of the buffers goes.
#[derive(Clone, Copy, PartialEq)]
enum Storage {
    /// Into the FlatBuffer, as vectors.
    Inside,
    /// Behind the FlatBuffer, named by position and size.
    Behind,
}

/// Writes `model` to the file at `path`, whole or not at all: it is written beside and renamed.
pub fn write(path: &Path, model: &Model) -> Result<(), Error> {
    let bytes = to_bytes(model).map_err(|error| error.in_file(path))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".zeropoint-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less the umask, like any new file; temporary files are private otherwise.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let failed = |source| Error::io(path, source);
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(&bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The bytes of a `.tflite` file with `model` in it.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, Error> {
    assemble(model, MAX_FLATBUFFER)
}

/// `limit` is the most bytes the FlatBuffer may take.
fn assemble(model: &Model, limit: usize) -> Result<Vec<u8>, Error> {
    let data: usize = stored_data(model)
        .map(|data| data.len().saturating_add(4).next_multiple_of(ALIGNMENT))
        .fold(ALIGNMENT, usize::saturating_add);
    let mut storage = Storage::Inside;
    let mut tree = Tree::build(model, storage, limit)?;
    if tree.bytes.len().saturating_add(data) > limit {
        storage = Storage::Behind;
        tree = Tree::build(model, storage, limit)?;
    }
    let Tree { mut bytes, buffers } = tree;
    bytes.reserve_exact(data.saturating_add(ALIGNMENT));
    for (table, data) in buffers.into_iter().zip(stored_data(model)) {
        append(&mut bytes, table, data, storage);
    }
    Ok(bytes)
}

/// The data that is appended behind the tree, buffer by buffer.
fn stored_data(model: &Model) -> impl Iterator<Item = &[u8]> {
    let buffers = model.buffers.as_deref().unwrap_or_default();
    buffers.iter().filter_map(stored)
}

fn stored(buffer: &Buffer) -> Option<&[u8]> {
    buffer.data.as_deref().filter(|data| !data.is_empty())
}

/// Appends the data of one buffer and makes the `Buffer` table at position `table` point at it.
fn append(bytes: &mut Vec<u8>, table: usize, data: &[u8], storage: Storage) {
    let prefix = if storage == Storage::Inside { 4 } else { 0 };
    let start = (bytes.len() + prefix).next_multiple_of(ALIGNMENT);
    bytes.resize(start - prefix, 0);
    match storage {
        Storage::Inside => {
            let field = field_position(bytes, table, DATA_SLOT);
            let distance = (start - prefix - field) as u32;
            bytes[field..field + 4].copy_from_slice(&distance.to_le_bytes());
            bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        }
        Storage::Behind => {
            let field = field_position(bytes, table, OFFSET_SLOT);
            bytes[field..field + 8].copy_from_slice(&(start as u64).to_le_bytes());
        }
    }
    bytes.extend_from_slice(data);
}

/// Where a field of a table lies. The table and the field must exist.
fn field_position(bytes: &[u8], table: usize, slot: usize) -> usize {
    let back = i32::from_le_bytes([
        bytes[table],
        bytes[table + 1],
        bytes[table + 2],
        bytes[table + 3],
    ]);
    let entry = (table as i64 - i64::from(back)) as usize + 4 + 2 * slot;
    table + usize::from(u16::from_le_bytes([bytes[entry], bytes[entry + 1]]))
}

/// The FlatBuffer without the data of the buffers.
struct Tree {
    /// A multiple of [`ALIGNMENT`] long.
    bytes: Vec<u8>,
    /// Positions of the `Buffer` tables whose data is still to be appended.
    buffers: Vec<usize>,
}

impl Tree {
    fn build(model: &Model, storage: Storage, limit: usize) -> Result<Tree, Error> {
        let mut writer = Writer {
            builder: Builder::new(),
            limit,
        };
        let (root, buffers) = writer.model(model, storage)?;
        // planus 1.3 puts an identifier before the offset of the root instead of behind it, so it is inserted here. All
        // offsets but the root's are relative: what is inserted before the tables moves only the root.
        let flatbuffer = writer.builder.finish(root, None);
        let (root, tables) = flatbuffer.split_at(4);
        let total = (HEADER + tables.len()).next_multiple_of(ALIGNMENT);
        let inserted = total - flatbuffer.len();
        let root = u32::from_le_bytes([root[0], root[1], root[2], root[3]]) + inserted as u32;
        let mut bytes = Vec::with_capacity(total);
        bytes.extend_from_slice(&root.to_le_bytes());
        bytes.extend_from_slice(&IDENTIFIER);
        bytes.resize(total - tables.len(), 0);
        bytes.extend_from_slice(tables);
        Ok(Tree {
            bytes,
            buffers: buffers
                .into_iter()
                .map(|from_end| total - from_end)
                .collect(),
        })
    }
}

struct Writer {
    builder: Builder,
    limit: usize,
}

impl Writer {
    /// Returns the root, and for each buffer with data how far its table is from the end of the FlatBuffer.
    fn model(
        &mut self,
        model: &Model,
        storage: Storage,
    ) -> Result<(Offset<Model>, Vec<usize>), Error> {
        let mut waiting = Vec::new();
        // Stands in for all data until it is appended.
        let empty = self.builder.create_vector([0u8; 0].as_slice());
        let buffers = self.vector(
            model.buffers.as_deref(),
            "buffers",
            |writer, buffer, place| writer.buffer(buffer, empty, storage, &mut waiting, place),
        )?;
        let subgraphs = self.vector(model.subgraphs.as_deref(), "subgraphs", Self::subgraph)?;
        let operator_codes = self.vector(
            model.operator_codes.as_deref(),
            "operator_codes",
            Self::table,
        )?;
        let metadata = self.vector(model.metadata.as_deref(), "metadata", Self::table)?;
        let signature_defs = self.vector(
            model.signature_defs.as_deref(),
            "signature_defs",
            Self::table,
        )?;
        let groups = self.vector(
            model.external_buffer_groups.as_deref(),
            "external_buffer_groups",
            Self::table,
        )?;
        let external_buffers = self.vector(
            model.external_buffers.as_deref(),
            "external_buffers",
            Self::table,
        )?;
        let root = Model::create(
            &mut self.builder,
            model.version,
            operator_codes,
            subgraphs,
            &model.description,
            buffers,
            &model.metadata_buffer,
            metadata,
            signature_defs,
            groups,
            external_buffers,
        );
        self.check("model")?;
        Ok((root, waiting))
    }

    fn buffer(
        &mut self,
        buffer: &Buffer,
        empty: Offset<[u8]>,
        storage: Storage,
        waiting: &mut Vec<usize>,
        place: &str,
    ) -> Result<Offset<Buffer>, Error> {
        let table = match (&buffer.data, storage) {
            (None, _) if buffer.offset > 1 => {
                return Err(Error::UnresolvedData {
                    place: place.to_owned(),
                });
            }
            // Any offset but 0 makes planus write the field.
            (Some(data), Storage::Behind) if !data.is_empty() => {
                Buffer::create(&mut self.builder, (), u64::MAX, data.len() as u64)
            }
            (data, _) => {
                let data = data.as_ref().map(|_| empty);
                Buffer::create(&mut self.builder, data, 0u64, 0u64)
            }
        };
        if stored(buffer).is_some() {
            waiting.push(self.builder.len());
        }
        Ok(table)
    }

    fn subgraph(&mut self, subgraph: &SubGraph, place: &str) -> Result<Offset<SubGraph>, Error> {
        let tensors = self.vector(
            subgraph.tensors.as_deref(),
            &format!("{place}.tensors"),
            Self::table,
        )?;
        let operators = self.vector(
            subgraph.operators.as_deref(),
            &format!("{place}.operators"),
            Self::operator,
        )?;
        Ok(SubGraph::create(
            &mut self.builder,
            tensors,
            &subgraph.inputs,
            &subgraph.outputs,
            operators,
            &subgraph.name,
            subgraph.debug_metadata_index,
        ))
    }

    fn operator(&mut self, operator: &Operator, place: &str) -> Result<Offset<Operator>, Error> {
        let custom = operator.custom_options.as_ref();
        if custom.is_none() && operator.large_custom_options_offset > 1 {
            return Err(Error::UnresolvedData {
                place: place.to_owned(),
            });
        }
        if custom.is_some_and(|options| options.len() > self.limit) {
            return Err(Error::DoesNotFit {
                place: place.to_owned(),
            });
        }
        self.table(operator, place)
    }

    fn table<T: WriteAsOffset<T>>(&mut self, table: &T, _place: &str) -> Result<Offset<T>, Error> {
        Ok(table.prepare(&mut self.builder))
    }

    /// Writes tables one by one, so that the limit is noticed before planus' 32-bit offsets overflow.
    fn vector<T>(
        &mut self,
        tables: Option<&[T]>,
        place: &str,
        mut write: impl FnMut(&mut Self, &T, &str) -> Result<Offset<T>, Error>,
    ) -> Result<Option<Vec<Offset<T>>>, Error> {
        let Some(tables) = tables else {
            return Ok(None);
        };
        let mut offsets = Vec::with_capacity(tables.len());
        for (i, table) in tables.iter().enumerate() {
            let place = format!("{place}[{i}]");
            offsets.push(write(self, table, &place)?);
            self.check(&place)?;
        }
        Ok(Some(offsets))
    }

    fn check(&self, place: &str) -> Result<(), Error> {
        if self.builder.len() > self.limit {
            return Err(Error::DoesNotFit {
                place: place.to_owned(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]
mod tests {
    use super::*;
    use crate::model::{OperatorCode, Tensor, parse};

    fn model(sizes: &[usize]) -> Model {
        let buffers = sizes.iter().enumerate().map(|(i, size)| Buffer {
            data: Some(vec![i as u8 + 1; *size]),
            ..Buffer::default()
        });
        let tensor = |buffer| Tensor {
            name: Some(format!("tensor {buffer}")),
            buffer,
            ..Tensor::default()
        };
        let operator = Operator {
            custom_options: Some(vec![5; 9]),
            ..Operator::default()
        };
        Model {
            version: 3,
            operator_codes: Some(vec![OperatorCode::default()]),
            buffers: Some(std::iter::once(Buffer::default()).chain(buffers).collect()),
            subgraphs: Some(vec![SubGraph {
                tensors: Some((1..=sizes.len() as u32).map(tensor).collect()),
                operators: Some(vec![operator]),
                ..SubGraph::default()
            }]),
            ..Model::default()
        }
    }

    #[test]
    fn data_that_does_not_fit_goes_behind_the_flatbuffer() {
        let model = model(&[1000, 1, 0, 17, 16, 4000]);
        let inside = to_bytes(&model).unwrap();
        assert_eq!(assemble(&model, inside.len() + ALIGNMENT).unwrap(), inside);

        let behind = assemble(&model, 1200).unwrap();
        assert_ne!(behind, inside);
        assert_eq!(parse(&behind).unwrap(), model);
        for (byte, len) in [(1, 1000), (2, 1), (4, 17), (5, 16), (6, 4000)] {
            let data = vec![byte; len];
            let aligned = behind
                .chunks(ALIGNMENT)
                .enumerate()
                .find(|(i, _)| behind[i * ALIGNMENT..].starts_with(&data));
            assert!(aligned.is_some(), "{len} bytes of {byte}");
        }
        // Cut off, the file is refused: the data was not found inside the FlatBuffer.
        assert!(parse(&behind[..behind.len() - 1]).is_err());
    }

    #[test]
    fn a_tree_that_does_not_fit_is_refused() {
        let error = assemble(&model(&[100; 50]), 500).unwrap_err();
        assert!(matches!(error, Error::DoesNotFit { .. }), "{error}");
        let mut large = model(&[]);
        let graph = &mut large.subgraphs.as_mut().unwrap()[0];
        graph.operators.as_mut().unwrap()[0].custom_options = Some(vec![0; 501]);
        let error = assemble(&large, 500).unwrap_err();
        assert!(
            matches!(&error, Error::DoesNotFit { place } if place == "subgraphs[0].operators[0]"),
            "{error}"
        );
    }
}
