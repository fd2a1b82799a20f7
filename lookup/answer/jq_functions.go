package answer

import "github.com/itchyny/gojq"

// jqFunctions are the functions that an expression may call, with their numbers of
// arguments. Their time and memory are proportional to their input, or they are
// made of steps that are counted. Those of guardedFunctions can return more
// than they get.
var jqFunctions = []string{
	"empty/0", "error/0", "error/1", "not/0", "length/0", "utf8bytelength/0", "keys/0", "has/1", "in/1", "add/0", "add/1",
	"toboolean/0", "tonumber/0", "tostring/0", "type/0", "reverse/0", "startswith/1", "endswith/1",
	"ltrimstr/1", "rtrimstr/1", "trimstr/1", "ltrim/0", "rtrim/0", "trim/0", "explode/0", "implode/0", "split/1", "split/2", "join/1",
	"ascii_downcase/0", "ascii_upcase/0", "tojson/0", "fromjson/0", "format/1", "flatten/0", "flatten/1", "range/1", "range/2", "range/3",
	"min/0", "max/0", "min_by/1", "max_by/1", "sort/0", "sort_by/1", "group_by/1", "unique/0", "unique_by/1",
	"floor/0", "round/0", "ceil/0", "trunc/0", "fabs/0", "abs/0", "sqrt/0", "pow/2", "log/0", "log2/0", "log10/0", "exp/0", "fmin/2", "fmax/2", "fmod/2",
	"acos/0", "acosh/0", "asin/0", "asinh/0", "atan/0", "atan2/2", "atanh/0", "cbrt/0", "copysign/2", "cos/0", "cosh/0", "drem/2", "erf/0", "erfc/0",
	"exp10/0", "exp2/0", "expm1/0", "fdim/2", "fma/3", "frexp/0", "gamma/0", "hypot/2", "j0/0", "j1/0", "ldexp/2", "lgamma/0", "log1p/0", "logb/0", "modf/0",
	"nearbyint/0", "nextafter/2", "nexttoward/2", "remainder/2", "rint/0", "scalb/2", "scalbln/2", "significand/0", "sin/0", "sinh/0", "tan/0", "tanh/0", "tgamma/0",
	"y0/0", "y1/0",
	"infinite/0", "nan/0", "isnan/0", "isinfinite/0", "isfinite/0", "isnormal/0",
	"map/1", "map_values/1", "walk/1", "select/1", "recurse/0", "recurse/1", "recurse/2", "to_entries/0", "from_entries/0", "with_entries/1", "while/2", "until/2", "repeat/1",
	"arrays/0", "objects/0", "iterables/0", "booleans/0", "numbers/0", "strings/0", "nulls/0", "values/0", "scalars/0", "finites/0", "normals/0",
	"first/0", "first/1", "last/0", "last/1", "nth/1", "nth/2", "isempty/1", "all/0", "all/1", "all/2", "any/0", "any/1", "any/2", "limit/2", "skip/2",
	"path/1", "paths/0", "paths/1", "pick/1", "getpath/1", "setpath/2", "del/1", "delpaths/1", "bsearch/1", "IN/1", "IN/2", "INDEX/1", "INDEX/2", "JOIN/2", "JOIN/3", "JOIN/4", "transpose/0",
	"match/1", "match/2", "test/1", "test/2", "capture/1", "capture/2", "scan/1", "scan/2", "splits/1", "splits/2", "sub/2", "sub/3", "gsub/2", "gsub/3",
	"index/1", "rindex/1", "indices/1", "contains/1", "inside/1",
	"now/0", "mktime/0", "gmtime/0", "strftime/1", "strptime/1", "localtime/0", "strflocaltime/1", "todate/0", "fromdate/0", "fromdateiso8601/0", "todateiso8601/0",
}

// guardedFunctions make values.
var guardedFunctions = []string{
	"add", "tostring", "tojson", "fromjson", "tonumber", "reverse", "keys", "explode", "implode", "split", "join", "ascii_downcase", "ascii_upcase",
	"flatten", "sort", "sort_by", "group_by", "unique", "unique_by", "map", "map_values", "walk", "to_entries", "from_entries", "with_entries", "del", "delpaths",
	"match", "capture", "scan", "splits", "sub", "gsub", "indices", "strftime", "strflocaltime", "format", "JOIN",
}

// pairedFunctions take input times argument, in time or memory.
var pairedFunctions = []string{"join", "index", "rindex", "indices", "contains", "inside"}

// regexFunctions take a regular expression as their first argument; split only with two.
var regexFunctions = []string{"match", "test", "capture", "scan", "splits", "split", "sub", "gsub"}

// pathFunctions take paths: nothing may stand in their arguments that is none.
var pathFunctions = []string{"path", "paths", "del", "pick"}

// The functions that the bounder adds to an expression. An expression cannot call them
// itself, because they are not in jqFunctions.
const (
	guard = "_ringhook_guard" // returns its input unless it is too large
	check = "_ringhook_check" // returns [left, right] of * and - unless that would take too much
	with  = "_ringhook_with"  // returns its argument unless a function with it would take too much
	soft  = "_ringhook_soft"  // returns null for what stands for nothing, so that it can be looked into
	list  = "_ringhook_list"  // returns [] for what stands for nothing
	regex = "_ringhook_regex" // returns its input unless it is a regular expression that takes too much
	set   = "_ringhook_set"   // returns its input with a value at a path, unless that would take too much
)

// ownPrefix begins the names of all functions that are added.
const ownPrefix = "_ringhook"

// updates are the operators that assign, with the functions of boundedFunctions that stand for them.
var updates = map[gojq.Operator]string{
	gojq.OpAssign: "_ringhook_assign", gojq.OpModify: "_ringhook_modify", gojq.OpUpdateAlt: "_ringhook_update_alt",
	gojq.OpUpdateAdd: "_ringhook_update_add", gojq.OpUpdateSub: "_ringhook_update_sub", gojq.OpUpdateMul: "_ringhook_update_mul",
	gojq.OpUpdateDiv: "_ringhook_update_div", gojq.OpUpdateMod: "_ringhook_update_mod",
}

// boundedFunctions replace functions and operators of jq that make values without a limit: an index is the
// length of an array. They are not rewritten, and so must guard what they make.
var boundedFunctions = func() []*gojq.FuncDef {
	query, err := gojq.Parse(`
def setpath(path; value): _ringhook_set(path; value) | _ringhook_guard;
def pick(paths): . as $v | reduce path(paths) as $p (null; _ringhook_set($p; $v | getpath($p))) | _ringhook_guard;
def INDEX(stream; name): [stream | {key: (name | tostring | _ringhook_guard), value: .}] | _ringhook_guard | from_entries | _ringhook_guard;
def INDEX(name): INDEX(.[]; name);
def transpose: [range(0; (map(length) | max) // 0) as $i | [.[][$i]]] | _ringhook_guard;
def _ringhook_assign(paths; $value): reduce path(paths) as $p (.; _ringhook_set($p; $value)) | _ringhook_guard;
def _ringhook_modify(paths; change):
  reduce path(paths) as $p ([., []]; . as [$v, $gone] | [first($v | getpath($p) | change)] as $new |
    if $new == [] then [$v, ($gone + [$p] | _ringhook_guard)] else [($v | _ringhook_set($p; $new[0])), $gone] end) |
  . as [$v, $gone] | $v | delpaths($gone) | _ringhook_guard;
def _ringhook_update_alt(paths; $value): _ringhook_modify(paths; . // $value);
def _ringhook_update_add(paths; $value): _ringhook_modify(paths; . + $value);
def _ringhook_update_sub(paths; $value): _ringhook_modify(paths; _ringhook_check(.; $value) | .[0] - .[1]);
def _ringhook_update_mul(paths; $value): _ringhook_modify(paths; _ringhook_check(.; $value) | .[0] * .[1]);
def _ringhook_update_div(paths; $value): _ringhook_modify(paths; . / $value);
def _ringhook_update_mod(paths; $value): _ringhook_modify(paths; . % $value);
.`)
	if err != nil {
		panic(err) // it is a constant
	}
	return query.FuncDefs
}()
