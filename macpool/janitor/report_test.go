// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestConditionOfAPoolNamesItsCollisions(t *testing.T) {
	pool := macpool.Pool{
		Set: macpool.NewSet([]macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0, 0, 0, 0, 9}}}, nil),
	}
	vma, vmb := macpool.Holder{Object: vmNamed("vma")}, macpool.Holder{Object: vmNamed("vmb")}
	var all []macpool.Collision
	for suffix := range byte(12) {
		all = append(all, macpool.Collision{MAC: macpool.MAC{2, 0, 0, 0, 0, suffix}, Holders: []macpool.Holder{vma, vmb}})
	}
	condition := collided(pool, all, 7)
	assert.Equal(t, metav1.ConditionTrue, condition.Status)
	assert.Contains(t, condition.Message, "02:00:00:00:00:00 is the address of "+vma.String()+" and of "+vmb.String())
	assert.Equal(t, 3, strings.Count(condition.Message, " is the address of "))
	assert.Contains(t, condition.Message, "and 7 more", "those of other pools do not count")
	assert.Equal(t, metav1.ConditionFalse, collided(pool, all[10:], 7).Status)
}

func TestAnAddressThatHundredsHaveFitsIntoACondition(t *testing.T) {
	const most = 32768 // bytes of a message, by the schema of metav1.Condition
	pool := macpool.Pool{Set: macpool.NewSet([]macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0xff}}}, nil)}
	c := macpool.Collision{MAC: macpool.MAC{2, 1}}
	for i := range 1000 {
		c.Holders = append(c.Holders, macpool.Holder{Object: vmNamed(fmt.Sprint("vm", i))})
	}
	condition := collided(pool, []macpool.Collision{c}, 7)
	assert.Less(t, len(condition.Message), most, "the status of the pool would not be written any more")
	assert.Contains(t, condition.Message, vmNamed("vm2").String()+" and of 997 more")
}
