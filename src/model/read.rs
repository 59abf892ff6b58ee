//! Bytes → tree, one table at a time, each charged to the [`Budget`] of the file.

use std::fs;
use std::mem::size_of;
use std::path::Path;

use planus::{Builder, ReadAsRoot, Vector, VectorRead, WriteAsOffset};

use super::budget::Budget;
use super::generated::tflite::{
    Buffer, BufferRef, DimensionMetadata, Model, ModelRef, Operator, OperatorRef, SignatureDef,
    SignatureDefRef, SubGraph, SubGraphRef, Tensor, TensorMap, TensorRef, VariantSubType,
};
use super::{Error, IDENTIFIER, MAX_FLATBUFFER, VERSION};

/// Reads the model file at `path`.
pub fn read(path: &Path) -> Result<Model, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    let bytes = fs::read(path).map_err(|source| Error::io(path, source))?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

/// Reads a model from the bytes of a whole file.
pub fn parse(bytes: &[u8]) -> Result<Model, Error> {
    check_identifier(bytes)?;
    // No offset inside a FlatBuffer reaches further; behind it only data named by `offset` and `size` may follow.
    let flatbuffer = &bytes[..bytes.len().min(MAX_FLATBUFFER)];
    let root = ModelRef::read_as_root(flatbuffer).map_err(Error::at("model"))?;
    let version = root.version().map_err(Error::at("version"))?;
    if version != VERSION {
        return Err(Error::Version { version });
    }
    let mut reader = Reader {
        file: bytes,
        budget: Budget::for_file(bytes.len()),
        scratch: Builder::new(),
    };
    reader.model(root)
}

fn check_identifier(bytes: &[u8]) -> Result<(), Error> {
    let found = match bytes.get(4..8) {
        None => format!("it has only {} bytes", bytes.len()),
        Some(found) if found != IDENTIFIER => format!(
            "bytes 4 to 8 should read \"TFL3\", but are \"{}\"",
            found.escape_ascii()
        ),
        Some(_) => return Ok(()),
    };
    Err(Error::NotTflite { found })
}

struct Reader<'a> {
    file: &'a [u8],
    budget: Budget,
    /// Tables are serialised here again, to learn how large they are.
    scratch: Builder,
}

/// `place` names the element being read, for errors.
impl<'a> Reader<'a> {
    fn model(&mut self, root: ModelRef<'a>) -> Result<Model, Error> {
        let at = Error::at("model");
        Ok(Model {
            version: root.version().map_err(&at)?,
            operator_codes: self.tables(
                root.operator_codes().map_err(&at)?,
                "operator_codes",
                Self::table,
            )?,
            subgraphs: self.tables(root.subgraphs().map_err(&at)?, "subgraphs", Self::subgraph)?,
            description: self.text(root.description().map_err(&at)?, "description")?,
            buffers: self.tables(root.buffers().map_err(&at)?, "buffers", Self::buffer)?,
            metadata_buffer: self
                .integers(root.metadata_buffer().map_err(&at)?, "metadata_buffer")?,
            metadata: self.tables(root.metadata().map_err(&at)?, "metadata", Self::table)?,
            signature_defs: self.tables(
                root.signature_defs().map_err(&at)?,
                "signature_defs",
                Self::signature,
            )?,
            external_buffer_groups: self.tables(
                root.external_buffer_groups().map_err(&at)?,
                "external_buffer_groups",
                Self::table,
            )?,
            external_buffers: self.tables(
                root.external_buffers().map_err(&at)?,
                "external_buffers",
                Self::table,
            )?,
        })
    }

    fn subgraph(&mut self, table: SubGraphRef<'a>, place: &str) -> Result<SubGraph, Error> {
        let at = Error::at(place);
        Ok(SubGraph {
            tensors: self.tables(
                table.tensors().map_err(&at)?,
                &format!("{place}.tensors"),
                Self::tensor,
            )?,
            inputs: self.integers(table.inputs().map_err(&at)?, place)?,
            outputs: self.integers(table.outputs().map_err(&at)?, place)?,
            operators: self.tables(
                table.operators().map_err(&at)?,
                &format!("{place}.operators"),
                Self::operator,
            )?,
            name: self.text(table.name().map_err(&at)?, place)?,
            debug_metadata_index: table.debug_metadata_index().map_err(&at)?,
        })
    }

    fn tensor(&mut self, table: TensorRef<'a>, place: &str) -> Result<Tensor, Error> {
        let at = Error::at(place);
        self.charge::<_, VariantSubType>(table.variant_tensors().map_err(&at)?, place)?;
        if let Some(sparsity) = table.sparsity().map_err(&at)? {
            self.charge::<_, DimensionMetadata>(sparsity.dim_metadata().map_err(&at)?, place)?;
        }
        self.table(table, place)
    }

    fn signature(
        &mut self,
        table: SignatureDefRef<'a>,
        place: &str,
    ) -> Result<SignatureDef, Error> {
        let at = Error::at(place);
        self.charge::<_, TensorMap>(table.inputs().map_err(&at)?, place)?;
        self.charge::<_, TensorMap>(table.outputs().map_err(&at)?, place)?;
        self.table(table, place)
    }

    fn operator(&mut self, table: OperatorRef<'a>, place: &str) -> Result<Operator, Error> {
        let mut operator: Operator = self.table(table, place)?;
        let offset = std::mem::take(&mut operator.large_custom_options_offset);
        let size = std::mem::take(&mut operator.large_custom_options_size);
        if operator.custom_options.is_none() {
            operator.custom_options = self.outside(offset, size, place)?;
        }
        Ok(operator)
    }

    fn buffer(&mut self, table: BufferRef<'a>, place: &str) -> Result<Buffer, Error> {
        let at = Error::at(place);
        let data = match table.data().map_err(&at)? {
            Some(data) => {
                self.budget.spend(data.len(), place)?;
                Some(data.to_vec())
            }
            None => self.outside(
                table.offset().map_err(&at)?,
                table.size().map_err(&at)?,
                place,
            )?,
        };
        Ok(Buffer {
            data,
            offset: 0,
            size: 0,
        })
    }

    /// Data outside the FlatBuffer. Offsets 0 and 1 mean there is none: LiteRT's converter writes 1 where it has no data.
    fn outside(&mut self, offset: u64, size: u64, place: &str) -> Result<Option<Vec<u8>>, Error> {
        if offset <= 1 {
            return Ok(None);
        }
        let range = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(size).ok())
            .and_then(|(start, len)| Some(start..start.checked_add(len)?));
        let data = range
            .and_then(|range| self.file.get(range))
            .ok_or_else(|| Error::OutsideData {
                place: place.to_owned(),
                offset,
                size,
                file_size: self.file.len(),
            })?;
        self.budget.spend(data.len(), place)?;
        Ok(Some(data.to_vec()))
    }

    /// A vector of tables, each converted by `convert`.
    fn tables<R, T>(
        &mut self,
        vector: Option<Vector<'a, planus::Result<R>>>,
        place: &str,
        convert: impl Fn(&mut Self, R, &str) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error>
    where
        planus::Result<R>: VectorRead<'a>,
    {
        let Some(vector) = vector else {
            return Ok(None);
        };
        self.budget
            .spend(vector.len().saturating_mul(size_of::<T>()), place)?;
        let mut tables = Vec::with_capacity(vector.len());
        for (i, table) in vector.iter().enumerate() {
            let place = format!("{place}[{i}]");
            let table = table.map_err(Error::at(&place))?;
            tables.push(convert(self, table, &place)?);
        }
        Ok(Some(tables))
    }

    /// A table that holds no vector of tables: the memory it takes is a small multiple of the file before it is charged.
    fn table<R, T>(&mut self, table: R, place: &str) -> Result<T, Error>
    where
        T: TryFrom<R, Error = planus::Error> + WriteAsOffset<T>,
    {
        let table = T::try_from(table).map_err(Error::at(place))?;
        self.scratch.clear();
        table.prepare(&mut self.scratch);
        self.budget.spend(self.scratch.len(), place)?;
        Ok(table)
    }

    /// Charges a vector of tables in advance, where the table around it is converted as a whole.
    fn charge<R, T>(
        &mut self,
        vector: Option<Vector<'a, planus::Result<R>>>,
        place: &str,
    ) -> Result<(), Error>
    where
        planus::Result<R>: VectorRead<'a>,
        T: TryFrom<R, Error = planus::Error> + WriteAsOffset<T>,
    {
        let Some(vector) = vector else {
            return Ok(());
        };
        for table in vector {
            self.budget.spend(size_of::<T>(), place)?;
            let table = table.map_err(Error::at(place))?;
            self.table::<R, T>(table, place)?;
        }
        Ok(())
    }

    fn integers(
        &mut self,
        vector: Option<Vector<'a, i32>>,
        place: &str,
    ) -> Result<Option<Vec<i32>>, Error> {
        let Some(vector) = vector else {
            return Ok(None);
        };
        self.budget
            .spend(vector.len().saturating_mul(size_of::<i32>()), place)?;
        Ok(Some(vector.iter().collect()))
    }

    fn text(&mut self, text: Option<&str>, place: &str) -> Result<Option<String>, Error> {
        self.budget.spend(text.map_or(0, str::len), place)?;
        Ok(text.map(str::to_owned))
    }
}
