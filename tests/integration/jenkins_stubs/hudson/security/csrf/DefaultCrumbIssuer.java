package hudson.security.csrf;

public class DefaultCrumbIssuer {
    public DefaultCrumbIssuer(boolean excludeClientIPFromCrumb) { }
}
