package answer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// newJSON reads JSON through expressions of jq.
func newJSON(cfg *Config) (parser, error) {
	m, err := newMapping(cfg, compileJQ)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, d document) (Result, error) {
		text, err := d.text()
		if err != nil {
			return Result{}, err
		}
		whole, err := decodeJSON(text)
		if err != nil {
			return Result{}, &Error{ReasonSyntax, err}
		}
		customers := []any{whole}
		if m.records != nil {
			customers, err = runJQ(ctx, *m.records, whole, maxRecords)
			if ctx.Err() != nil {
				return Result{}, ctx.Err()
			}
			if err != nil {
				return Result{}, &Error{ReasonType, fmt.Errorf("records: %w", err)}
			}
		}
		var res Result
		for _, customer := range customers {
			if customer == nil {
				continue
			}
			r, err := jsonRecord(ctx, m, customer)
			if err != nil {
				return Result{}, err
			}
			res.Records = append(res.Records, r)
		}
		return res, nil
	}, nil
}

func compileJQ(text string) (*gojq.Code, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("is no expression of jq: %w", err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, fmt.Errorf("is no expression of jq: %w", err)
	}
	return code, nil
}

func jsonRecord(ctx context.Context, m *mapping[*gojq.Code], customer any) (Record, error) {
	var r Record
	for _, f := range m.fields {
		values, err := runJQ(ctx, f.expr, customer, 2)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, &Error{ReasonType, fmt.Errorf("map.%s: %w", f.name, err)}
		}
		value := ""
		for i, v := range values {
			text, err := scalar(v)
			if err == nil && i > 0 && text != value {
				err = errors.New("more than one value; records tells customers apart")
			}
			if err != nil {
				return nil, &Error{ReasonType, fmt.Errorf("map.%s: %w", f.name, err)}
			}
			value = text
		}
		if r, err = r.add(f.name, value); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// runJQ gives up to limit results of an expression. Its errors do not quote
// the answer, as those of gojq do.
func runJQ(ctx context.Context, code *gojq.Code, input any, limit int) ([]any, error) {
	var results []any
	for iter := code.RunWithContext(ctx, input); len(results) < limit; {
		v, ok := iter.Next()
		if !ok {
			break
		}
		if _, failed := v.(error); failed {
			return nil, errors.New("answer has another structure than the expression")
		}
		results = append(results, v)
	}
	return results, nil
}

// scalar is a value of JSON as text; null is empty.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case *big.Int:
		return v.String(), nil
	case json.Number:
		return v.String(), nil
	}
	return "", errors.New("neither text nor number")
}

// decodeJSON reads one value of JSON, with numbers as they are written: an id
// may be longer than a floating-point number is exact.
func decodeJSON(text string) (any, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, errors.New("answer is no JSON, or ends too early")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON")
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
			return errors.New("JSON is too deep or too large")
		}
	}
	return nil
}
