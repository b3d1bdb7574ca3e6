package content

// refuseTag refuses message tags: none is left that a campaign may carry.
func (c *compiler) refuseTag(pointer, tag string) {
	switch tag {
	case "":
	case "CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE":
		c.fail(pointer, "retired_tag", "Meta retired the message tag %s on 27 April 2026: Graph answers it with error 100. What people must know goes out as a utility message.", tag)
	case "HUMAN_AGENT":
		c.fail(pointer, "tag_not_allowed", "The message tag HUMAN_AGENT is for answers that a human writes to one person; a campaign that carries it breaks Meta's policy.")
	case "NON_PROMOTIONAL_SUBSCRIPTION":
		c.fail(pointer, "tag_not_allowed", "The message tag NON_PROMOTIONAL_SUBSCRIPTION is left to registered news Pages only.")
	case "CUSTOMER_FEEDBACK":
		c.fail(pointer, "tag_not_allowed", "The message tag CUSTOMER_FEEDBACK is for Meta's survey template only.")
	default:
		c.fail(pointer, "tag_not_allowed", "There is no message tag that a campaign may carry: the lane decides how a message is sent.")
	}
}
