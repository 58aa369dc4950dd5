//! `hash(…)`: Spark's `Murmur3Hash`, each value hashed with the hash of those before it as the seed.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::schema::sql_type;

const SEED: i32 = 42;
/// Decimals of up to so many digits are hashed as a BIGINT.
const LONG_DIGITS: u8 = 18;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SparkHash {
    signature: Signature,
}

impl SparkHash {
    pub(super) fn new() -> SparkHash {
        SparkHash { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SparkHash {
    fn name(&self) -> &str {
        "hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.iter().find(|data_type| !is_hashed(data_type)) {
            None => Ok(DataType::Int32),
            Some(other) => plan_err!(
                "[DATATYPE_MISMATCH.HASH_MAP_TYPE] Input to the function `hash` cannot contain elements of the \"MAP\" type, \
                 and here none of the \"{}\" type. SQLSTATE: 42K09",
                sql_type(other)
            ),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut hashes = vec![SEED; arguments.number_rows];
        for argument in &arguments.args {
            let values = argument.to_array(arguments.number_rows)?;
            for (row, hash) in hashes.iter_mut().enumerate() {
                *hash = of_value(&values, row, *hash);
            }
        }
        Ok(ColumnarValue::Array(Arc::new(Int32Array::from(hashes))))
    }
}

fn is_hashed(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) => is_hashed(element.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_hashed(field.data_type())),
        DataType::Null | DataType::Boolean | DataType::Date32 | DataType::Utf8 | DataType::Binary => true,
        DataType::Decimal128(..) | DataType::Timestamp(TimeUnit::Microsecond, _) => true,
        other => other.is_signed_integer() || matches!(other, DataType::Float32 | DataType::Float64),
    }
}

/// A value that is null leaves the seed as it is.
fn of_value(values: &ArrayRef, row: usize, seed: i32) -> i32 {
    if values.is_null(row) {
        return seed;
    }
    match values.data_type() {
        DataType::Boolean => of_int(i32::from(values.as_boolean().value(row)), seed),
        DataType::Int8 => of_int(i32::from(values.as_primitive::<Int8Type>().value(row)), seed),
        DataType::Int16 => of_int(i32::from(values.as_primitive::<Int16Type>().value(row)), seed),
        DataType::Int32 => of_int(values.as_primitive::<Int32Type>().value(row), seed),
        DataType::Date32 => of_int(values.as_primitive::<Date32Type>().value(row), seed),
        DataType::Int64 => of_long(values.as_primitive::<Int64Type>().value(row), seed),
        DataType::Timestamp(..) => {
            of_long(values.as_primitive::<TimestampMicrosecondType>().value(row), seed)
        }
        DataType::Float32 => {
            // Both zeros are one.
            let value = values.as_primitive::<Float32Type>().value(row) + 0.0;
            of_int(value.to_bits().cast_signed(), seed)
        }
        DataType::Float64 => {
            let value = values.as_primitive::<Float64Type>().value(row) + 0.0;
            of_long(value.to_bits().cast_signed(), seed)
        }
        DataType::Decimal128(precision, _) => {
            let value = values.as_primitive::<Decimal128Type>().value(row);
            match i64::try_from(value) {
                Ok(value) if *precision <= LONG_DIGITS => of_long(value, seed),
                _ => of_bytes(shortest(&value.to_be_bytes()), seed),
            }
        }
        DataType::Utf8 => of_bytes(values.as_string::<i32>().value(row).as_bytes(), seed),
        DataType::Binary => of_bytes(values.as_binary::<i32>().value(row), seed),
        DataType::List(_) => {
            let elements = values.as_list::<i32>().value(row);
            (0..elements.len()).fold(seed, |seed, place| of_value(&elements, place, seed))
        }
        DataType::Struct(_) => {
            values.as_struct().columns().iter().fold(seed, |seed, column| of_value(column, row, seed))
        }
        _ => seed,
    }
}

/// Java's `BigInteger.toByteArray`: as few bytes as hold the number with its sign.
fn shortest(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [first, behind @ ..] = rest
        && let Some(second) = behind.first()
        && (*first == 0 && *second < 0x80 || *first == 0xff && *second >= 0x80)
    {
        rest = behind;
    }
    rest
}

fn of_int(value: i32, seed: i32) -> i32 {
    finished(mixed(seed, scrambled(value)), 4)
}

fn of_long(value: i64, seed: i32) -> i32 {
    let (low, high) = (value as i32, (value >> 32) as i32);
    finished(mixed(mixed(seed, scrambled(low)), scrambled(high)), 8)
}

/// Words of four bytes, and then each byte that is left for itself, with its sign.
fn of_bytes(bytes: &[u8], seed: i32) -> i32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let hash = words.iter().fold(seed, |hash, word| mixed(hash, scrambled(i32::from_le_bytes(*word))));
    let hash = rest.iter().fold(hash, |hash, byte| mixed(hash, scrambled(i32::from(byte.cast_signed()))));
    finished(hash, bytes.len() as i32)
}

fn scrambled(word: i32) -> i32 {
    word.wrapping_mul(0xcc9e_2d51_u32.cast_signed()).rotate_left(15).wrapping_mul(0x1b87_3593)
}

fn mixed(hash: i32, word: i32) -> i32 {
    (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64_u32.cast_signed())
}

fn finished(hash: i32, length: i32) -> i32 {
    let mut bits = (hash ^ length).cast_unsigned();
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x85eb_ca6b);
    bits ^= bits >> 13;
    bits = bits.wrapping_mul(0xc2b2_ae35);
    (bits ^ (bits >> 16)).cast_signed()
}
