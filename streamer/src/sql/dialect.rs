//! Spark's dialect, as far as the parser asks for it.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, SparkSqlDialect};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

/// The parser's own Spark dialect, with what that lacks: backslashes in strings, intervals without a unit behind.
#[derive(Debug)]
pub(super) struct SparkDialect;

const BASE: SparkSqlDialect = SparkSqlDialect;

impl Dialect for SparkDialect {
    fn dialect(&self) -> TypeId {
        BASE.dialect()
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        BASE.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        BASE.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        BASE.is_identifier_part(character)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    /// `INTERVAL '10 seconds'`
    fn require_interval_qualifier(&self) -> bool {
        false
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        BASE.supports_filter_during_aggregation()
    }

    fn supports_group_by_expr(&self) -> bool {
        BASE.supports_group_by_expr()
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        BASE.supports_group_by_with_modifier()
    }

    fn supports_lambda_functions(&self) -> bool {
        BASE.supports_lambda_functions()
    }

    fn supports_select_wildcard_except(&self) -> bool {
        BASE.supports_select_wildcard_except()
    }

    fn supports_struct_literal(&self) -> bool {
        BASE.supports_struct_literal()
    }

    fn supports_nested_comments(&self) -> bool {
        BASE.supports_nested_comments()
    }

    fn supports_long_type_as_bigint(&self) -> bool {
        BASE.supports_long_type_as_bigint()
    }

    fn supports_values_as_table_factor(&self) -> bool {
        BASE.supports_values_as_table_factor()
    }

    fn supports_bang_not_operator(&self) -> bool {
        BASE.supports_bang_not_operator()
    }

    fn supports_select_item_multi_column_alias(&self) -> bool {
        BASE.supports_select_item_multi_column_alias()
    }

    fn supports_cte_without_as(&self) -> bool {
        BASE.supports_cte_without_as()
    }

    fn supports_map_literal_with_angle_brackets(&self) -> bool {
        BASE.supports_map_literal_with_angle_brackets()
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        BASE.parse_infix(parser, expr, precedence)
    }
}
