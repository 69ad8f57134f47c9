"""What can be asked of a problem: what the plan is best at, and what it must keep."""

from segsolve.question.constraint import Constraint as Constraint
from segsolve.question.kept import Constraints as Constraints
from segsolve.question.question import Cuts as Cuts
from segsolve.question.question import Layout as Layout
from segsolve.question.question import Objective as Objective
from segsolve.question.question import Question as Question
