package kept

import (
	"fmt"
	"testing"
)

// TestNumbers checks that numbers are shown as they were stored.
func TestNumbers(t *testing.T) {
	for _, n := range []string{"1234567", "9007199254740993", "1.50"} {
		c, err := Decode([]byte(`{"linkedid":"1.1","known":{"customer_id":` + n + `,"match":"exact","closed":true}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(c.Known["customer_id"]); got != n || c.Text("customer_id") != "" || c.Text("match") != "exact" || c.Known["closed"] != true {
			t.Errorf("%s: got %s of %v", n, got, c.Known)
		}
	}
}
