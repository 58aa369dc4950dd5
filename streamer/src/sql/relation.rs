//! Plans the relations that are operators: watermarks and generators. They come as functions under [`OPERATOR`] and a
//! number, with a subquery, the input, as the first argument.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::{Column, DFSchema, UnnestOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_nested::expr_fn::{array_empty, array_length, map_entries, range};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SetExpr, TableFactor,
};

use super::from_clause::Watermark;
use super::generator::{Generator, GeneratorFunction};
use crate::operators::watermark::EventTimeWatermark;

/// Of a function that is an operator, before its number.
pub(super) const OPERATOR: &str = "operator ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RelationOperator {
    Watermark(Watermark),
    Generate(Generator),
    /// Rows that are planned already: no function's argument.
    Plan(LogicalPlan),
}

/// Knows the operators of one query by their numbers.
#[derive(Debug)]
pub(crate) struct OperatorPlanner {
    pub(crate) operators: Vec<RelationOperator>,
}

impl RelationPlanner for OperatorPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if let (TableFactor::TableFunction { alias, .. }, Some(RelationOperator::Plan(plan))) =
            (&relation, self.named(&relation))
        {
            let planned = PlannedRelation::new(plan.clone(), alias.clone());
            return Ok(RelationPlanning::Planned(Box::new(planned)));
        }
        let Some((operator, input, argument)) = self.operator(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let input = context.plan(input)?;
        let expr = context.sql_to_expr(argument, input.schema())?;
        let plan = match operator {
            RelationOperator::Watermark(watermark) => plan_watermark(input, expr, watermark)?,
            RelationOperator::Generate(generator) => plan_generator(input, expr, generator)?,
            RelationOperator::Plan(plan) => plan.clone(),
        };
        let TableFactor::TableFunction { alias, .. } = relation else {
            return Err(DataFusionError::Internal("an operator that is no function".to_owned()));
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

impl OperatorPlanner {
    fn named(&self, relation: &TableFactor) -> Option<&RelationOperator> {
        let TableFactor::TableFunction { expr: SqlExpr::Function(function), .. } = relation else {
            return None;
        };
        let name = function.name.0.last()?.as_ident()?;
        self.operators.get(name.value.strip_prefix(OPERATOR)?.parse::<usize>().ok()?)
    }

    /// The operator that a relation is, with its input and its argument.
    fn operator(&self, relation: &TableFactor) -> Option<(&RelationOperator, TableFactor, SqlExpr)> {
        let operator = self.named(relation)?;
        let TableFactor::TableFunction { expr: SqlExpr::Function(function), .. } = relation else {
            return None;
        };
        let FunctionArguments::List(list) = &function.args else {
            return None;
        };
        match list.args.as_slice() {
            [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Subquery(input))),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)),
            ] => Some((operator, relation_of(input), argument.clone())),
            _ => None,
        }
    }
}

/// The one relation of a `SELECT * FROM`, so that its columns keep their qualifiers.
fn relation_of(query: &Query) -> TableFactor {
    if let SetExpr::Select(select) = query.body.as_ref()
        && let [from] = select.from.as_slice()
    {
        return if from.joins.is_empty() {
            from.relation.clone()
        } else {
            TableFactor::NestedJoin { table_with_joins: Box::new(from.clone()), alias: None }
        };
    }
    TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias: None, sample: None }
}

fn plan_watermark(input: LogicalPlan, expr: Expr, watermark: &Watermark) -> Result<LogicalPlan> {
    let delay_ms = watermark.delay_ms;
    if let (Expr::Column(column), None) = (&expr, &watermark.alias) {
        return EventTimeWatermark::plan(input, column.clone(), delay_ms);
    }
    // Spark adds the expression as a column.
    let name = match &watermark.alias {
        Some(alias) => alias.to_lowercase(),
        None => expr.schema_name().to_string(),
    };
    let columns = columns(input.schema()).chain([expr.alias(&name)]).collect::<Vec<_>>();
    let input = LogicalPlanBuilder::from(input).project(columns)?.build()?;
    EventTimeWatermark::plan(input, Column::new_unqualified(name), delay_ms)
}

const ELEMENT: &str = "generated element";
const PLACE: &str = "generated place";

fn plan_generator(input: LogicalPlan, expr: Expr, generator: &Generator) -> Result<LogicalPlan> {
    let (array, element) = array(expr, input.schema(), generator.function)?;
    let mut generated = vec![(ELEMENT, array.clone())];
    if generator.function == GeneratorFunction::PosExplode {
        generated.push((PLACE, range(lit(0_i64), cast(array_length(array), DataType::Int64), lit(1_i64))));
    }
    let kept: Vec<_> = columns(input.schema()).collect();
    let lists = generated.iter().map(|(name, list)| {
        let list = if generator.outer { null_if_empty(list.clone(), input.schema())? } else { list.clone() };
        Ok(list.alias(*name))
    });
    let lists = lists.collect::<Result<Vec<_>>>()?;
    let names = generated.iter().map(|(name, _)| Column::new_unqualified(*name)).collect();
    let unnested = LogicalPlanBuilder::from(input)
        .project([kept.clone(), lists].concat())?
        .unnest_columns_with_options(names, UnnestOptions::new().with_preserve_nulls(generator.outer))?;
    let named = outputs(generator, &element)?.into_iter().map(|(name, expr)| {
        let table = (!generator.table.is_empty()).then_some(generator.table.as_str());
        expr.alias_qualified(table, name)
    });
    unnested.project(kept.into_iter().chain(named).collect::<Vec<_>>())?.build()
}

/// The rows' elements as a list, and what an element has for columns; none where it is one column itself.
fn array(expr: Expr, schema: &DFSchema, function: GeneratorFunction) -> Result<(Expr, Fields)> {
    let data_type = expr.get_type(schema)?;
    match (&data_type, function) {
        (DataType::Map(entries, _), GeneratorFunction::Explode | GeneratorFunction::PosExplode) => {
            let DataType::Struct(_) = entries.data_type() else {
                return Err(unfit(&expr, &data_type));
            };
            let entries = map_entries(expr);
            let fields = element_fields(&entries.get_type(schema)?);
            Ok((entries, fields))
        }
        (DataType::List(_) | DataType::LargeList(_), GeneratorFunction::Inline) => {
            match element_fields(&data_type) {
                fields if fields.is_empty() => Err(unfit(&expr, &data_type)),
                fields => Ok((expr, fields)),
            }
        }
        (DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..), _) => {
            Ok((expr, Fields::empty()))
        }
        _ => Err(unfit(&expr, &data_type)),
    }
}

fn element_fields(list: &DataType) -> Fields {
    match list {
        DataType::List(element) | DataType::LargeList(element) => match element.data_type() {
            DataType::Struct(fields) => fields.clone(),
            _ => Fields::empty(),
        },
        _ => Fields::empty(),
    }
}

fn unfit(expr: &Expr, data_type: &DataType) -> DataFusionError {
    DataFusionError::Plan(format!(
        "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE] Cannot resolve the generator of \"{expr}\" due to data type \
         mismatch: it wants the (\"ARRAY\" or \"MAP\") type, however \"{expr}\" has the type {data_type}. SQLSTATE: \
         42K09"
    ))
}

/// An outer generator gives one row for what has no elements.
fn null_if_empty(list: Expr, schema: &DFSchema) -> Result<Expr> {
    let null = Expr::Literal(ScalarValue::try_new_null(&list.get_type(schema)?)?, None);
    when(array_empty(list.clone()), null).otherwise(list)
}

/// The generator's columns by name.
fn outputs(generator: &Generator, element: &Fields) -> Result<Vec<(String, Expr)>> {
    let value = Expr::Column(Column::new_unqualified(ELEMENT));
    let mut outputs = Vec::new();
    if generator.function == GeneratorFunction::PosExplode {
        let place = Expr::Column(Column::new_unqualified(PLACE));
        outputs.push(("pos".to_owned(), cast(place, DataType::Int32)));
    }
    if element.is_empty() {
        outputs.push(("col".to_owned(), value));
    } else {
        outputs.extend(element.iter().map(|field| {
            let part = datafusion::functions::core::expr_fn::get_field(value.clone(), field.name().as_str());
            (field.name().to_lowercase(), part)
        }));
    }
    if generator.columns.is_empty() {
        return Ok(outputs);
    }
    if generator.columns.len() != outputs.len() {
        return Err(DataFusionError::Plan(format!(
            "[UDTF_ALIAS_NUMBER_MISMATCH] The number of aliases supplied in the AS clause does not match the number of \
             columns output by the UDTF. Expected {} aliases, but got {}. Please ensure that the number of aliases \
             provided matches the number of columns output by the UDTF. SQLSTATE: 42802",
            outputs.len(),
            generator.columns.join(", ")
        )));
    }
    Ok(generator.columns.iter().cloned().zip(outputs.into_iter().map(|(_, expr)| expr)).collect())
}

fn columns(schema: &Arc<DFSchema>) -> impl Iterator<Item = Expr> {
    schema.iter().map(|(relation, field)| Expr::from((relation, field)))
}
