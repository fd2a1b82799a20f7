package answer

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"strconv"

	"ringhook/pattern"
)

// The limits of jq expressions. gojq looks at its context only between steps,
// and one step can take any time and memory: repeat a text 100,000,000 times,
// search a text of a megabyte, write an array with 500,000,000 elements. So each
// step is bounded: no value in an expression is larger than maxSize, and
// functions whose cost is not proportional to their input are refused.
const (
	maxSteps  = 300_000  // of one expression
	maxSize   = 2 << 20  // of one value, in bytes as sizeOf counts them
	maxMade   = 16 << 20 // of all values that one answer's expressions make
	maxText   = 8 << 10  // of a text in an answer, in bytes; longer ones are cut
	maxDigits = 100      // of a number in an answer
)

// errExpression is returned by an expression that reaches a limit.
var errExpression = &Error{ReasonLimit, errors.New("an expression of the mapping takes too many steps or makes too much")}

// guard returns a value, or an error if it is too large. The flag ends the
// expression also if it catches the error.
func (r *jqRunner) guard(v any) any {
	size := sizeOf(v, maxSize)
	r.made += size
	if size > maxSize || r.made > maxMade {
		r.over = true
		return errExpression
	}
	return v
}

// check returns the operands of * and -, or an error if the operation would take
// too much. Others cost no more than their operands.
func (r *jqRunner) check(left, right any) any {
	texts, factor := left, right
	if _, ok := right.(string); ok {
		texts, factor = right, left
	}
	if s, ok := texts.(string); ok {
		if n := number(factor); n > 1 && n*float64(len(s)) > maxText {
			r.over = true
			return errExpression
		}
	}
	a, isList := left.([]any)
	b, isListToo := right.([]any)
	if isList && isListToo && len(a)*len(b) > maxSteps {
		r.over = true
		return errExpression
	}
	return []any{left, right}
}

// with returns a function's argument, or an error if the function would compare
// every part of its input with every part of it, or write it too often.
func (r *jqRunner) with(v, arg any) any {
	if length(v)*length(arg) > 4*maxSize {
		r.over = true
		return errExpression
	}
	return arg
}

// regex returns a regular expression, or a list of one and its flags, unless it takes too much to compile. jq reports one
// that cannot be read.
func (r *jqRunner) regex(v any) any {
	text := v
	if list, ok := v.([]any); ok && len(list) > 0 {
		text = list[0]
	}
	if s, ok := text.(string); ok && errors.Is(pattern.Check(s), pattern.ErrTooLarge) {
		r.over = true
		return errExpression
	}
	return v
}

// set returns a value with another one at a path. What stands for nothing becomes the object or the array that
// the path needs.
func (r *jqRunner) set(v, path, value any) any {
	keys, ok := path.([]any)
	if !ok {
		return errStructure
	}
	if err, failed := r.guard(value).(error); failed {
		return err
	}
	changed, err := r.update(v, keys, value)
	if err != nil {
		return err
	}
	return changed
}

func (r *jqRunner) update(v any, path []any, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	if isNothing(v) {
		v = nil
	}
	switch key := path[0].(type) {
	case string:
		object, ok := v.(map[string]any)
		if !ok && v != nil {
			return nil, errStructure
		}
		part, err := r.update(object[key], path[1:], value)
		if err != nil || !r.take(3*valueSize*(len(object)+1)) {
			return nil, cmp.Or(err, error(errExpression))
		}
		changed := make(map[string]any, len(object)+1)
		maps.Copy(changed, object)
		changed[key] = part
		return changed, nil
	case int, float64, json.Number:
		array, ok := v.([]any)
		at := number(key)
		if at < 0 {
			at += float64(len(array))
		}
		if !ok && v != nil || !(at >= 0) {
			return nil, errStructure
		}
		if at > maxNodes || !r.take(valueSize*max(len(array), int(at)+1)) {
			r.over = true
			return nil, errExpression
		}
		changed := make([]any, max(len(array), int(at)+1))
		copy(changed, array)
		part, err := r.update(changed[int(at)], path[1:], value)
		changed[int(at)] = part
		return changed, err
	}
	return nil, errStructure
}

// take counts memory that an expression takes, in bytes, and reports whether it may.
func (r *jqRunner) take(size int) bool {
	r.made += size
	r.over = r.over || r.made > maxMade
	return !r.over
}

// length returns the number of a value's parts: bytes of a text, all values in a
// list or an object.
func length(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any, map[string]any:
		return sizeOf(v, maxSize) / valueSize
	}
	return 1
}

// number returns a factor, 0 if the value is no number.
func number(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case *big.Int:
		f, _ := v.Float64()
		return f
	case json.Number:
		f, _ := strconv.ParseFloat(string(v), 64) // infinite if it is too large
		return f
	}
	return 0
}

// valueSize is what a value takes at least, in bytes.
const valueSize = 16

// sizeOf returns what a value takes, in bytes, as if no part of it were shared. It
// stops counting at the limit. A text or a number that is too long by itself is
// larger than the limit.
func sizeOf(v any, limit int) int {
	size := valueSize
	switch v := v.(type) {
	case string:
		if size += len(v); len(v) > 2*maxText { // some functions take its length squared
			return limit + 1
		}
	case *big.Int:
		if size += v.BitLen() / 8; v.BitLen() > 8*maxDigits {
			return limit + 1
		}
	case []any:
		for _, part := range v {
			if size > limit {
				break
			}
			size += valueSize + sizeOf(part, limit-size)
		}
	case map[string]any:
		for name, part := range v {
			if size > limit {
				break
			}
			size += 2*valueSize + len(name) + sizeOf(part, limit-size)
		}
	}
	return size
}
