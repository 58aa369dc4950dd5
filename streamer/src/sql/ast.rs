//! Pieces of syntax that take the place of others.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, LambdaFunction, ObjectName, Query, Select,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor,
    TableWithJoins, UnaryOperator, Value, WildcardAdditionalOptions,
};

pub(super) fn function(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    let list = FunctionArgumentList { duplicate_treatment: None, args: args.collect(), clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('`', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The name of a function in lower case, and its arguments; `None` with DISTINCT, or where one of them is more than an
/// expression.
pub(super) fn plain_call(call: &Function) -> Option<(String, Vec<&Expr>)> {
    let name = call.name.to_string().trim_matches('`').to_lowercase();
    let list = match &call.args {
        FunctionArguments::List(list) => list,
        // `current_timestamp` without parentheses.
        FunctionArguments::None => return Some((name, Vec::new())),
        FunctionArguments::Subquery(_) => return None,
    };
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument),
        _ => None,
    });
    let arguments = arguments.collect::<Option<_>>().filter(|_| list.duplicate_treatment.is_none())?;
    Some((name, arguments))
}

/// `table.*`
pub(super) fn all_of(table: &str) -> SelectItem {
    let name = ObjectName::from(vec![Ident::with_quote('`', table)]);
    let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
    SelectItem::QualifiedWildcard(kind, WildcardAdditionalOptions::default())
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// `value.a.b`, in the planner's words `value['a']['b']`.
pub(super) fn fields_of(value: Expr, fields: &[Ident]) -> Expr {
    if fields.is_empty() {
        return value;
    }
    let field = |field: &Ident| AccessExpr::Dot(Expr::value(Value::SingleQuotedString(field.value.clone())));
    Expr::CompoundFieldAccess { root: Box::new(value), access_chain: fields.iter().map(field).collect() }
}

/// The names of a lambda's parameters, in lower case.
pub(super) fn parameters(lambda: &LambdaFunction) -> Vec<String> {
    lambda.params.iter().map(|parameter| parameter.name.value.to_lowercase()).collect()
}

pub(super) fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

pub(super) fn table(name: &str, alias: TableAlias) -> TableFactor {
    TableFactor::Table {
        name: ObjectName::from(vec![Ident::with_quote('`', name)]),
        alias: Some(alias),
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// `(SELECT * FROM …)` as an expression.
pub(super) fn subquery(from: Vec<TableWithJoins>) -> Expr {
    let projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: no_groups(),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        window_before_qualify: false,
        qualify: None,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Expr::Subquery(Box::new(query(SetExpr::Select(Box::new(select)))))
}

pub(super) fn query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

pub(super) fn no_groups() -> GroupByExpr {
    GroupByExpr::Expressions(Vec::new(), Vec::new())
}
