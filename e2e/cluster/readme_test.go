// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCommandsAreTheLinesOfShellBlocks(t *testing.T) {
	text := "Say `make no` and\n```yaml\nmake: never\n```\n```bash\nmake demo   # a story\n\n# only a comment\nkubectl get \\\n  pods\n```\n" +
		"```sh\nls\n```\nls no more\n"
	assert.Equal(t, []string{"make demo", "kubectl get pods", "ls"}, Commands(text))
}
