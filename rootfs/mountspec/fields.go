package mountspec

import (
	"fmt"
	"strings"
)

// splitFields cuts one line of comma-separated values as RFC 4180 and docker
// do: a field that begins with a double quote ends with one, and holds commas,
// line ends and, doubled, quotes.
func splitFields(s string) ([]string, error) {
	var fields []string
	for {
		if !strings.HasPrefix(s, `"`) {
			field, rest, more := strings.Cut(s, ",")
			if strings.Contains(field, `"`) {
				return nil, fmt.Errorf("a quote inside %q (expected the field to begin with it)", field)
			}
			fields = append(fields, field)
			if !more {
				return fields, nil
			}
			s = rest
			continue
		}

		var field strings.Builder
		for s = s[1:]; ; s = s[1:] {
			end := strings.IndexByte(s, '"')
			if end < 0 {
				return nil, fmt.Errorf("a quote is not closed")
			}
			field.WriteString(s[:end])
			if s = s[end+1:]; !strings.HasPrefix(s, `"`) {
				break
			}
			field.WriteByte('"')
		}
		fields = append(fields, field.String())
		switch {
		case s == "":
			return fields, nil
		case s[0] != ',':
			return nil, fmt.Errorf("%q follows a closing quote (expected a comma)", s)
		}
		s = s[1:]
	}
}

// joinFields makes a line that splitFields cuts into the same fields.
func joinFields(fields []string) string {
	var line strings.Builder
	for i, field := range fields {
		if i > 0 {
			line.WriteByte(',')
		}
		if strings.ContainsAny(field, "\",\r\n") {
			field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
		}
		line.WriteString(field)
	}
	return line.String()
}
