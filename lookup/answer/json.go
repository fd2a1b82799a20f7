package answer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// newJSON reads JSON through expressions of jq.
func newJSON(cfg *Config) (parser, error) {
	vars, wholeOnly, most := variablesOf(cfg.Settings), cfg.Whole, cfg.MaxRecords
	m, err := newMapping(cfg, func(text string) (*gojq.Query, error) { return parseJQ(text, vars) })
	if err != nil {
		return nil, err
	}
	j := newJQ(m, vars)
	return func(ctx context.Context, d document) (Result, error) {
		text, err := d.text()
		if err != nil {
			return Result{}, err
		}
		whole, err := decodeJSON(text)
		if err != nil {
			return Result{}, err
		}
		r := j.runners.Get().(*jqRunner)
		defer j.runners.Put(r)
		r.Context, r.value, r.made, r.over = ctx, d.value, 0, false
		if wholeOnly {
			record, refused, err := r.record(whole)
			return Result{Records: []Record{record}, Refused: refused}, err
		}
		return r.read(whole, most)
	}, nil
}

// read takes the customers and their variables out of an answer. More customers than most are an error; if it is 0, those
// after maxRecords are left out.
func (r *jqRunner) read(whole any, most int) (res Result, err error) {
	if isNobody(whole) {
		return Result{}, nil
	}
	customers := []any{whole}
	if r.records != nil {
		limit := maxRecords
		if most > 0 {
			limit = most + 1
		}
		customers, err = r.run(r.records, whole, limit)
		if err == nil && most > 0 && len(customers) > most {
			return Result{}, &Error{ReasonLimit, fmt.Errorf("more than %d records", most)}
		}
		if errors.Is(err, errStructure) {
			return Result{}, &Error{ReasonType, fmt.Errorf("records: %w", err)}
		}
		if err != nil {
			return Result{}, err
		}
	}
	for _, customer := range customers {
		if isNobody(customer) {
			continue
		}
		record, refused, err := r.record(customer)
		if err != nil {
			return Result{}, err
		}
		if len(record) == 0 && len(refused) > 0 {
			return Result{}, &Error{ReasonType, errors.New(refused[0])}
		}
		res.Records = append(res.Records, record)
		res.Refused = append(res.Refused, refused...)
	}
	return res, nil
}

// record takes the variables of one customer. A value that does not fit is left
// out alone.
func (r *jqRunner) record(customer any) (record Record, refused []string, err error) {
	for _, f := range r.fields {
		values, err := r.run(f.expr, customer, 2)
		if err != nil && !errors.Is(err, errStructure) {
			return nil, nil, err
		}
		value := ""
		if err == nil {
			value, err = single(values)
		}
		if err != nil {
			refused = append(refused, fmt.Sprintf("map.%s: %v", f.name, err))
			continue
		}
		if record, err = record.add(f.name, r.value(value)); err != nil {
			return nil, nil, err
		}
	}
	return record, refused, nil
}

// single returns the one text that an expression results in, empty if there is
// none.
func single(values []any) (value string, err error) {
	for i, v := range values {
		text, err := scalar(v)
		if err == nil && i > 0 && text != value {
			err = errors.New("more than one value; set records if it has several customers")
		}
		if err != nil {
			return "", err
		}
		value = text
	}
	return value, nil
}

// scalar returns a value of JSON as text. Null is empty, and so is false, with
// which Odoo and PHP say that there is no value. A whole number has no fraction.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		if !v {
			return "", nil
		}
		return "true", nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case *big.Int:
		return v.String(), nil
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return strconv.FormatFloat(f, 'f', 0, 64), nil
		}
		return v.String(), nil
	}
	return "", errors.New("neither text nor number")
}

// decodeJSON reads one value of JSON, with numbers as they are written: an id
// may be longer than a floating-point number is exact. Long texts are cut.
func decodeJSON(text string) (any, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, &Error{ReasonSyntax, errors.New("answer is no JSON, or ends too early")}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{ReasonSyntax, errors.New("something follows the JSON")}
	}
	return clip(v)
}

// clip cuts texts that are too long for an expression, such as pictures, and
// refuses numbers that are no numbers of anything.
func clip(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		if len(v) > maxText {
			return strings.ToValidUTF8(v[:maxText], ""), nil
		}
	case json.Number:
		if len(v) > maxDigits {
			return nil, &Error{ReasonLimit, fmt.Errorf("number with more than %d characters", maxDigits)}
		}
	case []any:
		for i := range v {
			if v[i], err = clip(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = clip(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// checkJSON bounds depth and number of values before anything is made of them.
func checkJSON(text string) error {
	depth, nodes, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if quoted {
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '{', '[':
			depth++
			nodes++
		case '}', ']':
			depth--
		case ',':
			nodes++
		}
		if depth > maxDepth || nodes > maxNodes {
			return &Error{ReasonSyntax, errors.New("JSON is too deep or too large")}
		}
	}
	return nil
}
