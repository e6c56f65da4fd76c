package macpool

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditionOfAPoolNamesItsCollisions(t *testing.T) {
	pool := Pool{Set: NewSet([]Range{{First: MAC{2}, Last: MAC{2, 0, 0, 0, 0, 9}}}, nil)}
	vma, vmb := Holder{Object: vmNamed("vma")}, Holder{Object: vmNamed("vmb")}
	var all []Collision
	for suffix := range byte(12) {
		all = append(all, Collision{MAC: MAC{2, 0, 0, 0, 0, suffix}, Holders: []Holder{vma, vmb}})
	}
	condition := collided(pool, all, 7)
	assert.Equal(t, metav1.ConditionTrue, condition.Status)
	assert.Contains(t, condition.Message, "02:00:00:00:00:00 is the address of "+vma.String()+" and of "+vmb.String())
	assert.Equal(t, 3, strings.Count(condition.Message, " is the address of "))
	assert.Contains(t, condition.Message, "and 7 more", "those of other pools do not count")
	assert.Equal(t, metav1.ConditionFalse, collided(pool, all[10:], 7).Status)
}
