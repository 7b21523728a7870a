// Package client talks to a crowbar-server: it holds the wire types of the HTTP API and the
// client that command line, node agents, simulator and console share.
//
//   - Client is the connection. New makes it from a Config; operators are told apart by
//     Config.User, a node's agent speaks with Config.Token.
//   - Node, Job, Event, Revision, … are what the API sends, as its JSON is.
//   - Error is what the server answered when it did not do what was asked.
//
// In a program:
//
//	c, err := client.New(client.Config{BaseURL: "http://127.0.0.1:3000"})
//	nodes, err := c.Nodes(ctx)
//	for _, n := range nodes {
//		fmt.Println(n.Name, n.State)
//	}
//
// A node's own side, after it booted from the network:
//
//	script, err := c.Boot(ctx, mac, nil)
//	orders, err := agent.Report(ctx, node, client.Report{Sequence: 1, State: "discovered", Facts: facts})
//	for err == nil {
//		orders, err = agent.AwaitOrders(ctx, node, orders.Visit, time.Minute)
//	}
//
// # Errors
//
// Every method returns an *Error for what the server refused, which matches one of the
// sentinels: ErrNotFound, ErrConflict, ErrRefused, ErrInvalid, ErrUnauthorized. No answer at
// all, or one from a server that is stopping, matches ErrUnreachable: a request that changes
// something may then have been done or not. When the context ends its error is returned.
//
// # Concurrency
//
// A Client may be used by many goroutines and starts none of its own. No method returns
// before it is done with the connection.
package client
