//go:build e2e

package lab

import "testing"

// scenario is a call, or some that belong together.
type scenario struct {
	name string
	test func(t *testing.T, l *lab)
}

// atOnce are tried at the same time, each with phones and a number of its own:
// first those that take longest.
var atOnce = []scenario{
	{"queue times out", failover},
	{"queue times out, given up in the next", failoverQueue},
	{"no answer, the next one does", noAnswer},
	{"VIP first", vip},
	{"hostile names", hostileNames},
	{"every rune", everyRune},
	{"answered", answered},
	{"two busy, the third answers", twoBusy},
	{"declined, unreachable, answered", declined},
	{"given up in the queue", abandoned},
	{"given up while the CRM is asked", abandonedAtOnce},
	{"plain queue, answered", plainAnswered},
	{"plain queue, agent-answer", plainAsked},
	{"withheld number", withheld},
	{"hangs up in the menu", menu},
	{"direct call", direct},
	{"transferred to another queue", transferred},
	{"transferred and given up", transferredAndGivenUp},
	{"direct call transferred", directTransferred},
	{"transferred to a colleague", toColleague},
	{"transferred by the phone", byTransferKey},
	{"agents call out", outgoing},
	{"live queues", liveQueues},
	{"late name", lateName},
	{"late VIP", lateVIP},
	{"sample CRMs", sampleCRMs},
	{"CRM slower than the budget", slowCRM},
	{"CRM talks rubbish", rubbishCRM},
}

// commanded are those with commands for the PBX, tried at the same time after the others: the lab has not enough
// queues for all.
var commanded = []scenario{
	{"hold, queue call", holdQueueCall},
	{"hold, direct call", holdDirectCall},
	{"hold by notify", holdByNotify},
	{"blind transfers", blindTransfers},
	{"attended transfers", attendedTransfers},
	{"click to call", clickCalls},
	{"commands through the program", programCalls},
	{"kick", kickCallers},
	{"kick of a connected caller", kickConnected},
	{"priority of a caller", callerPriority},
	{"registration", registration},
	{"figures", figuresAgree},
}

// alone are those that take away what the others need.
var alone = []scenario{
	{"commands for calls", callCommands},
	{"commands for agents", agentCommands},
	{"Yemot dialect", yemotCommands},
	{"number in use", numberInUse},
	{"manager account", managerAccount},
	{"formats", formats},
	{"presets", presets},
	{"raw names", rawSIPNames},
	{"CRM down", crmDown},
	{"ringhook not running", notRunning},
	{"second server", secondServer},
	{"ringhook killed in mid-call", killed},
	{"ringhook killed before a phone rings", ringUnheard},
}

func TestCalls(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			l := newLab(t, suite)
			l.watchQueues(t)
			for _, group := range []struct {
				name string
				of   []scenario
			}{{"at once", atOnce}, {"commanded", commanded}} {
				t.Run(group.name, func(t *testing.T) {
					for _, s := range group.of {
						l.run(t, s.name, func(t *testing.T, l *lab) {
							t.Parallel()
							s.test(t, l)
						})
					}
				})
			}
			for _, s := range alone {
				l.run(t, s.name, s.test)
			}
			l.crm.recheck(t)
		})
	}
}
