//! Functions of functions that DataFusion lacks: those whose lambda has several parameters. The lambda is evaluated once, over
//! the elements of all rows; of `aggregate` once for each place in the longest array.

mod aggregate;
mod elements;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt32Array, new_empty_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use aggregate::aggregate;
use elements::{Elements, evaluate};

use crate::schema::{list_of, map_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    /// `transform(array, (element, index) -> …)`
    Transform,
    /// `filter(array, (element, index) -> …)`
    Filter,
    ZipWith,
    MapFilter,
    TransformKeys,
    TransformValues,
    /// `aggregate(array, start, (sum, element) -> …, sum -> …)`
    Aggregate,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct HigherOrder {
    function: Function,
    aliases: Vec<String>,
    signature: HigherOrderSignature,
}

pub(super) fn all() -> impl Iterator<Item = HigherOrder> {
    use Function::{Aggregate, Filter, MapFilter, Transform, TransformKeys, TransformValues, ZipWith};
    let functions = [Transform, Filter, ZipWith, MapFilter, TransformKeys, TransformValues, Aggregate];
    functions.into_iter().map(|function| HigherOrder {
        function,
        aliases: if function == Aggregate { vec!["reduce".to_owned()] } else { Vec::new() },
        signature: HigherOrderSignature::variadic_any(Volatility::Immutable),
    })
}

impl HigherOrder {
    fn arity<T>(&self) -> Result<T> {
        plan_err!(
            "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION] The `{}` takes other arguments: values first, then functions such as `x -> x + 1`. \
             SQLSTATE: 42605",
            self.name()
        )
    }

    /// The parameters of each lambda.
    fn parameters(&self, values: &[&DataType], lambdas: usize) -> Result<Vec<Vec<DataType>>> {
        use Function::{Aggregate, Filter, MapFilter, Transform, TransformKeys, TransformValues, ZipWith};
        match (self.function, values, lambdas) {
            (Transform | Filter, [array], 1) => Ok(vec![vec![element(array)?.clone(), DataType::Int32]]),
            (ZipWith, [left, right], 1) => Ok(vec![vec![element(left)?.clone(), element(right)?.clone()]]),
            (MapFilter | TransformKeys | TransformValues, [map], 1) => {
                let (key, value) = entry(map)?;
                Ok(vec![vec![key.clone(), value.clone()]])
            }
            (Aggregate, [array, start], 1 | 2) => {
                let merge = vec![(*start).clone(), element(array)?.clone()];
                let finish = (lambdas == 2).then(|| vec![(*start).clone()]);
                Ok([merge].into_iter().chain(finish).collect())
            }
            _ => self.arity(),
        }
    }

    fn result(&self, values: &[&DataType], lambdas: &[&DataType]) -> Result<DataType> {
        match (self.function, values, lambdas) {
            (Function::Transform | Function::ZipWith, _, [element]) => Ok(list_of((*element).clone(), true)),
            (Function::Filter | Function::MapFilter, [whole], [_]) => Ok((*whole).clone()),
            (Function::TransformKeys, [map], [key]) => {
                Ok(map_of((*key).clone(), entry(map)?.1.clone(), true))
            }
            (Function::TransformValues, [map], [value]) => {
                Ok(map_of(entry(map)?.0.clone(), (*value).clone(), true))
            }
            (Function::Aggregate, [_, start], [_]) => Ok((*start).clone()),
            (Function::Aggregate, [_, _], [_, finished]) => Ok((*finished).clone()),
            _ => self.arity(),
        }
    }
}

fn element(array: &DataType) -> Result<&DataType> {
    match array {
        DataType::List(element) => Ok(element.data_type()),
        other => plan_err!(
            "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] an \"ARRAY\" is wanted here, not {other}. SQLSTATE: 42K09"
        ),
    }
}

fn entry(map: &DataType) -> Result<(&DataType, &DataType)> {
    if let DataType::Map(entries, _) = map
        && let DataType::Struct(fields) = entries.data_type()
        && let [key, value] = fields.as_ref()
    {
        return Ok((key.data_type(), value.data_type()));
    }
    plan_err!(
        "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] a \"MAP\" is wanted here, not {map}. SQLSTATE: 42K09"
    )
}

/// Values come first.
fn split<V, L>(arguments: &[ValueOrLambda<V, L>]) -> (Vec<&V>, Vec<&L>) {
    let (mut values, mut lambdas) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument {
            ValueOrLambda::Value(value) => values.push(value),
            ValueOrLambda::Lambda(lambda) => lambdas.push(lambda),
        }
    }
    (values, lambdas)
}

impl HigherOrderUDFImpl for HigherOrder {
    fn name(&self) -> &str {
        match self.function {
            Function::Transform => "transform",
            Function::Filter => "filter",
            Function::ZipWith => "zip_with",
            Function::MapFilter => "map_filter",
            Function::TransformKeys => "transform_keys",
            Function::TransformValues => "transform_values",
            Function::Aggregate => "aggregate",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let (values, lambdas) = split(fields);
        let values: Vec<_> = values.into_iter().map(|field| field.data_type()).collect();
        let parameters = self.parameters(&values, lambdas.len())?.into_iter();
        let field = |data_type: DataType| Arc::new(Field::new("parameter", data_type, true));
        let fields = parameters.map(|types| types.into_iter().map(field).collect());
        Ok(LambdaParametersProgress::Complete(fields.collect()))
    }

    fn return_field_from_args(&self, arguments: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (values, lambdas) = split(arguments.arg_fields);
        let values: Vec<_> = values.into_iter().map(|field| field.data_type()).collect();
        let lambdas: Vec<_> = lambdas.into_iter().map(|field| field.data_type()).collect();
        Ok(Arc::new(Field::new(self.name(), self.result(&values, &lambdas)?, true)))
    }

    fn invoke_with_args(&self, arguments: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let (values, lambdas) = split(&arguments.args);
        let arrays = values.into_iter().map(|value| value.to_array(arguments.number_rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let result = match (self.function, arrays.as_slice(), lambdas.as_slice()) {
            (Function::Aggregate, [array, start], [merge, finish @ ..]) => {
                aggregate(array.as_list(), start, merge, finish.first().copied())?
            }
            (Function::ZipWith, [left, right], [lambda]) => {
                zip_with(left.as_list(), right.as_list(), lambda)?
            }
            (Function::Transform, [array], [lambda]) => {
                let array = array.as_list::<i32>();
                let elements = Elements::of_list(array)?;
                list(elements.offsets.clone(), elements.evaluate(lambda)?, array.nulls().cloned())?
            }
            (Function::Filter, [array], [lambda]) => {
                let array = array.as_list::<i32>();
                let (elements, keeps) = Elements::of_list(array)?.judged(lambda)?;
                let kept = elements.kept(&keeps)?;
                list(
                    kept.offsets,
                    kept.parameters.into_iter().next().unwrap_or(new_empty_array(&DataType::Null)),
                    array.nulls().cloned(),
                )?
            }
            (_, [map], [lambda]) => self.of_map(map.as_map(), lambda)?,
            _ => return internal_err!("{} with other arguments", self.name()),
        };
        // Fields are called otherwise where the array comes from elsewhere.
        Ok(ColumnarValue::Array(cast(&result, arguments.return_field.data_type())?))
    }
}

impl HigherOrder {
    fn of_map(&self, map: &MapArray, lambda: &LambdaArgument) -> Result<ArrayRef> {
        let elements = Elements::of_map(map)?;
        let (offsets, keys, values) = match self.function {
            Function::MapFilter => {
                let (elements, keeps) = elements.judged(lambda)?;
                let Elements { offsets, parameters, .. } = elements.kept(&keeps)?;
                let [keys, values] = two(parameters)?;
                (offsets, keys, values)
            }
            function => {
                let made = elements.evaluate(lambda)?;
                let Elements { offsets, parameters, .. } = elements;
                let [keys, values] = two(parameters)?;
                if function == Function::TransformKeys {
                    (offsets, made, values)
                } else {
                    (offsets, keys, made)
                }
            }
        };
        if keys.null_count() > 0 {
            return exec_err!("[NULL_MAP_KEY] Cannot use null as map key. SQLSTATE: 2200E");
        }
        let DataType::Map(entry, sorted) = map_of(keys.data_type().clone(), values.data_type().clone(), true)
        else {
            return internal_err!("a map");
        };
        let DataType::Struct(fields) = entry.data_type() else {
            return internal_err!("the entries of a map");
        };
        let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        Ok(Arc::new(MapArray::try_new(entry, offsets, entries, map.nulls().cloned(), sorted)?))
    }
}

fn two(parameters: Vec<ArrayRef>) -> Result<[ArrayRef; 2]> {
    parameters.try_into().or_else(|_| internal_err!("a map has keys and values"))
}

/// The shorter array is filled up with nulls.
fn zip_with(left: &ListArray, right: &ListArray, lambda: &LambdaArgument) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let (mut lengths, mut rows) = (Vec::with_capacity(left.len()), Vec::new());
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    for row in 0..left.len() {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let (left_length, right_length) = (left.value_length(row), right.value_length(row));
        let length = if is_null { 0 } else { left_length.max(right_length) };
        let (left_begin, right_begin) = (left.value_offsets()[row], right.value_offsets()[row]);
        for place in 0..length {
            rows.push(row as u32);
            lefts.push((place < left_length).then_some((left_begin + place) as u32));
            rights.push((place < right_length).then_some((right_begin + place) as u32));
        }
        lengths.push(length as usize);
    }
    let parameters = [
        take(left.values(), &UInt32Array::from(lefts), None)?,
        take(right.values(), &UInt32Array::from(rights), None)?,
    ];
    let made = evaluate(lambda, &parameters, &UInt32Array::from(rows))?;
    list(OffsetBuffer::from_lengths(lengths), made, nulls)
}

fn list(offsets: OffsetBuffer<i32>, elements: ArrayRef, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let element = Arc::new(Field::new("element", elements.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(element, offsets, elements, nulls)?))
}
