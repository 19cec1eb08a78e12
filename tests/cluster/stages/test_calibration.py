"""Which studies a calibration covers."""

import pytest

from axiograph.cluster.stages.calibration import analysis_of
from axiograph.engine.errors import InputError
from axiograph.engine.study.schema import Study
from tests import studies


@pytest.mark.parametrize("rows", ["pooled", "interventional"])
def test_rows_that_the_simulation_does_not_have_are_refused_by_name(tmp_path, rows):
    study = Study.model_validate(studies.study(tmp_path, discovery={"rows": rows}))
    with pytest.raises(InputError, match=f"covers one row per role, found {rows}"):
        analysis_of(study)
