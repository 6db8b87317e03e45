from sqlalchemy.testing.requirements import SuiteRequirements as Requirements
