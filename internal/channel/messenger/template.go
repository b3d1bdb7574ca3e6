package messenger

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"beckon/internal/channel"
)

// Templates reads a part of the Page's utility templates: the first one with
// after "". Next is where it goes on, "" after the last.
func (c *Client) Templates(ctx context.Context, page channel.Page, after string) (list []channel.Template, next string, r channel.Result) {
	var said struct {
		Data []struct {
			ID         word            `json:"id"`
			Name       word            `json:"name"`
			Language   word            `json:"language"`
			Category   word            `json:"category"`
			Status     word            `json:"status"`
			Components json.RawMessage `json:"components"`
		} `json:"data"`
		Paging paging `json:"paging"`
	}
	q := part(after)
	q.Set("fields", "id,name,language,category,status,components")
	r = c.ask(ctx, http.MethodGet, c.edge(page, "message_templates", q), nil, &said)
	for _, t := range said.Data {
		list = append(list, channel.Template{GraphID: string(t.ID), Name: string(t.Name), Language: string(t.Language), Category: string(t.Category),
			Status: strings.ToLower(string(t.Status)), Components: t.Components})
	}
	return list, said.Paging.after(), r
}

// CreateTemplate has Meta look at a new utility template. With Accepted the
// answer holds its id and its status, which may be approved at once.
func (c *Client) CreateTemplate(ctx context.Context, page channel.Page, t channel.Template) (channel.Template, channel.Result) {
	in := map[string]any{"name": t.Name, "language": t.Language, "category": t.Category, "components": t.Components}
	if t.Format != "" {
		in["parameter_format"] = t.Format
	}
	body, err := json.Marshal(in)
	if err != nil {
		return t, channel.Result{Outcome: channel.Refused, Detail: "the components are not JSON"}
	}
	var said struct {
		ID       word `json:"id"`
		Status   word `json:"status"`
		Category word `json:"category"`
	}
	r := c.ask(ctx, http.MethodPost, c.edge(page, "message_templates", nil), body, &said)
	if r.Outcome != channel.Accepted {
		return t, r
	}
	if t.GraphID, t.Status = string(said.ID), strings.ToLower(string(said.Status)); t.Status == "" {
		t.Status = "pending"
	}
	if said.Category != "" {
		t.Category = string(said.Category)
	}
	return t, r
}
